"""minilm generate: stream text and see how every token was chosen."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from minilm.cli.options.model import open_model
from minilm.cli.options.run import conditions, first_cursor, run_options
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.scores import score_table, score_total
from minilm.generation import Cursor
from minilm.generation.breakpoints import holds
from minilm.generation.score import score, total
from minilm.records import Step
from minilm.trace import TraceWriter
from minilm.trace.logits import logits_path
from minilm.workflows.open import Opened

__all__ = ["command"]

LONGEST_DELAY = 3600  # seconds


@click.command(
    epilog="Example: minilm generate --prompt 'Once upon a time' --temperature 0.8 --top-k 40 --max-tokens 5"
)
@run_options(20, "0 shows the next-token table alone.")
@click.option("--show", type=click.Choice(["text", "brief", "full"]), default="brief", show_default=True)
@click.option("--score-prompt", is_flag=True, help="First show what the model expected in the prompt.")
@click.option("--live", is_flag=True, help="A bar chart in place instead of lines.")
@click.option("--delay", default=0.0, metavar="SECONDS", help="Wait after every step.")
@click.option("--trace", metavar="FILE", help="Write the records to this file, one JSON line each.")
@click.option("--logits", is_flag=True, help="Keep all logits in FILE.logits.npy, for minilm trace replay.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of text.")
def command(source: str | None, backend: str | None, device: str, dtype: str, **options: Any) -> None:
    """Stream text and see, for every token, how it was chosen."""
    if options["score_prompt"] and (options["as_lines"] or options["show"] == "text"):
        raise MinilmError("--score-prompt shows a table; for JSON lines use: minilm score TEXT --json")
    if not 0 <= options["delay"] <= LONGEST_DELAY:
        raise MinilmError(f"--delay must be 0 to {LONGEST_DELAY} seconds, got {options['delay']}")
    if options["trace"] == "":
        raise MinilmError("--trace takes the name of a new file, got ''")
    if options["logits"] and options["trace"] is None:
        raise MinilmError("--logits keeps the logits beside a trace, got no --trace; name its file")
    pauses = conditions(options)
    opened = open_model(source, backend, device, dtype)
    cursor = first_cursor(opened, options)
    if options["score_prompt"]:
        _print_scores(opened, cursor)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(w) for w in _writers(stack, cursor, options)]
        steps = _recorded(cursor, writers, options["delay"])
        steps = _until(pauses, steps, cursor.settings.eos_ids)
        if not options["as_lines"]:
            _show(cursor, steps, options)
        for _ in steps:
            pass


def _writers(stack: contextlib.ExitStack, cursor: Cursor, options: dict[str, Any]) -> Iterator[TraceWriter]:
    if options["as_lines"]:
        yield TraceWriter(sys.stdout, cursor)
    if options["trace"] is not None:
        path = Path(options["trace"])
        file = _new_file(stack, path, "x")
        logits = _new_file(stack, logits_path(path), "xb") if options["logits"] else None
        yield TraceWriter(file, cursor, logits)


def _new_file(stack: contextlib.ExitStack, path: Path, mode: str) -> Any:
    """A file that does not exist yet, open until the run ends."""
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        return stack.enter_context(path.open(mode, **text))
    except FileExistsError:
        raise MinilmError(f"--trace {path} exists already; name another file or remove it") from None
    except OSError as error:
        raise MinilmError(f"--trace {path} cannot be written: {error.strerror}") from error


def _recorded(cursor: Cursor, writers: Sequence[TraceWriter], delay: float) -> Iterator[Step]:
    """The steps of a run, each written to every trace before it is shown."""
    for place in cursor.cursors():
        step = place.peek()
        for writer in writers:
            writer.step(step, place.reading.logits[-1])
        yield step
        time.sleep(delay)


def _until(pauses: Sequence[Condition], steps: Iterator[Step], eos_ids: Sequence[int]) -> Iterator[Step]:
    """The steps up to the first at which a breakpoint holds, which is said; without one none is kept."""
    if not pauses:
        yield from steps
        return
    taken: list[Step] = []
    for step in steps:
        yield step
        taken.append(step)
        if holding := [one.text for one in pauses if holds(one, taken, eos_ids)]:
            click.echo(f"stopped after token {step.index + 1}: {holding[0]}", err=True)
            return


def _show(cursor: Cursor, steps: Iterator[Step], options: dict[str, Any]) -> None:
    if options["max_tokens"] == 0:
        _print_header(cursor)
        text.write(text.render(cursor.peek().decision, options["show"].replace("text", "brief")), sys.stdout)
        return
    if options["show"] == "text":
        for step in steps:
            text.write(text.render(step, "text"), sys.stdout, end="")
            sys.stdout.flush()
        text.write("", sys.stdout)
        return
    _print_header(cursor)
    last, ids, texts = None, [], []
    for step in _played(steps) if options["live"] else _printed(steps, options["show"]):
        last = step.finish
        ids.append(step.decision.chosen.id)
        texts.append(step.new_text)
    text.write(text.footer(last, ids, "".join(texts)), sys.stdout)


def _print_scores(opened: Opened, cursor: Cursor) -> None:
    tokens = list(score(opened.model, opened.codec, cursor.ids.tolist()))
    text.write(f"{score_table(tokens)}\n\n{score_total(total(tokens))}", sys.stdout, end="\n\n")


def _print_header(cursor: Cursor) -> None:
    ids = cursor.ids.tolist()
    texts, raws = zip(*(cursor.texts(i) for i in ids), strict=True)
    settings = cursor.settings
    text.write(
        text.header(ids, texts, settings.stages, settings.seed, raws=raws, model=cursor.model.name),
        sys.stdout,
        end="\n\n",
    )


def _played(steps: Iterator[Step]) -> Iterator[Step]:
    from minilm.faces.live import play  # rich, which only --live needs

    return play(steps)


def _printed(steps: Iterator[Step], show: str) -> Iterator[Step]:
    so_far = ""
    for step in steps:
        so_far += step.new_text
        text.write(text.render(step, show, so_far=so_far), sys.stdout, end="\n\n")
        sys.stdout.flush()
        yield step
