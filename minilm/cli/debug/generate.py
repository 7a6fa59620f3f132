"""minilm debug generate: step through a generation, forward and back, from the terminal or a script."""

from __future__ import annotations

from typing import Any

import click

from minilm.cli.debug.generate_inspect import DECISIONS, LOOKS
from minilm.cli.debug.generate_navigate import MOVES
from minilm.cli.debug.loop import converse, say, scripted, typed
from minilm.cli.debug.state import Desk, prompt_line
from minilm.cli.options.model import open_model
from minilm.cli.options.run import first_cursor, run_options
from minilm.generation import Cursor, open_session

__all__ = ["command"]

MOST_PLACES = 1000

LOGITS_BYTES = 100_000_000  # of all places kept together


@click.command(epilog="Example: minilm debug generate --prompt 'Once upon a time' --break 'rank > 3'")
@run_options(100, "The most new tokens.")
@click.option("--script", metavar="FILE", help="Read the commands from a file, one a line, echoed.")
@click.option("--show", type=click.Choice(["brief", "full"]), default="brief", show_default=True)
@click.option(
    "--window",
    type=int,
    help="Places kept; a rewind past them reads the text again. 1000, or as many as have 100 MB of logits.",
)
def command(source: str | None, backend: str | None, device: str, dtype: str, **options: Any) -> None:
    """Step through a generation, forward and back.

    next, continue, back, force, branch, watch, break, print ...: commands are read from the terminal, from
    --script, or from a pipe; help lists them.
    """
    read = scripted(options["script"]) if options["script"] else typed
    cursor = first_cursor(open_model(source, backend, device, dtype), options)
    window = _window(cursor) if options["window"] is None else options["window"]
    session = open_session(cursor, window)
    for condition in options["breaks"]:
        session = session.with_breakpoint(condition)
    say("help lists the commands, quit ends")
    converse((*MOVES, *DECISIONS, *LOOKS), Desk(session, options["show"]), prompt_line, read)


def _window(cursor: Cursor) -> int:
    """How many places to keep: each holds its logits, so fewer of a large vocabulary."""
    return min(MOST_PLACES, max(1, LOGITS_BYTES // cursor.reading.logits.nbytes))
