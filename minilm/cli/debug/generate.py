"""minilm debug generate: step through a generation, forward and back, from the terminal or a script."""

from __future__ import annotations

from dataclasses import dataclass

import click

from minilm.cli.debug.generate_inspect import INSPECT
from minilm.cli.debug.generate_navigate import NAVIGATE, GenerateState, generation_prompt
from minilm.cli.debug.loop import read_script, read_terminal, run_commands, say
from minilm.cli.options.request import takes
from minilm.cli.options.run import RunOptions, run_options
from minilm.generation import Cursor, open_session

__all__ = ["DebugGenerateRequest", "command"]

MOST_PLACES = 1000

LOGITS_BYTES = 100_000_000  # of all places kept together


@dataclass(frozen=True, kw_only=True)
class DebugGenerateRequest(RunOptions):
    """The options of `minilm debug generate`.

    Attributes:
        script: A file with one command a line, or None to read them from the terminal.
        show: How much of a step is shown: brief or full.
        window: How many places are kept for going back; None for as many as fit.
    """

    script: str | None
    show: str
    window: int | None


@click.command(
    epilog="Example: minilm debug generate --prompt 'Once upon a time' --break 'rank > 3'\n\n\b\n"
    "In Python: from minilm.generation import open_session; "
    "open_session(minilm.open().start('Once upon a time')).with_breakpoint('rank > 3').run()"
)
@run_options(100, "The most new tokens.")
@click.option("--script", metavar="FILE", help="Read the commands from a file, one a line, echoed.")
@click.option("--show", type=click.Choice(["brief", "full"]), default="brief", show_default=True)
@click.option(
    "--window",
    type=int,
    help="Places kept; a rewind past them reads the text again. 1000, or as many as have 100 MB of logits.",
)
@takes(DebugGenerateRequest)
def command(request: DebugGenerateRequest) -> None:
    """Step through a generation, forward and back.

    next, continue, back, force, branch, watch, break, print ...: commands are read from the terminal, from
    --script, or from a pipe; help lists them.
    """
    read = read_script(request.script) if request.script else read_terminal
    cursor = request.start(request.open())
    window = _window(cursor) if request.window is None else request.window
    session = open_session(cursor, window)
    for condition in request.breaks:
        session = session.with_breakpoint(condition)
    say("help lists the commands, quit ends")
    run_commands((*NAVIGATE, *INSPECT), GenerateState(session, request.show), generation_prompt, read)


def _window(cursor: Cursor) -> int:
    """Return how many places to keep. Each keeps its logits, so there are fewer with a large vocabulary."""
    return min(MOST_PLACES, max(1, LOGITS_BYTES // cursor.reading.logits.nbytes))
