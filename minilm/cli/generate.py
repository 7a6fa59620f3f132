"""minilm generate: stream text and see how every token was chosen."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from minilm.cli.options.request import takes
from minilm.cli.options.run import RunOptions, run_options
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.scores import score_table, score_total
from minilm.generation import Cursor
from minilm.generation.breakpoints import run_until
from minilm.generation.score import total
from minilm.records import Step
from minilm.trace.writer import TraceWriter, new_trace

__all__ = ["GenerateRequest", "command"]

LONGEST_DELAY = 3600  # seconds


@dataclass(frozen=True, kw_only=True)
class GenerateRequest(RunOptions):
    """The options of `minilm generate`.

    Attributes:
        show: How much of a step is shown: text, brief or full.
        score_prompt: First show how well the model predicts the prompt.
        live: Show a bar chart that changes in place instead of lines.
        delay: Seconds to wait after every step.
        trace: A new file for the records, or None.
        logits: Keep all logits in a file beside the trace.
        as_lines: Print the records as JSON lines instead of text.
    """

    show: str
    score_prompt: bool
    live: bool
    delay: float
    trace: str | None
    logits: bool
    as_lines: bool

    def __post_init__(self) -> None:
        if self.score_prompt and (self.as_lines or self.show == "text"):
            raise MinilmError("--score-prompt shows a table; for JSON lines use: minilm score TEXT --json")
        if not 0 <= self.delay <= LONGEST_DELAY:
            raise MinilmError(f"--delay must be 0 to {LONGEST_DELAY} seconds, got {self.delay}")
        if self.trace == "":
            raise MinilmError("--trace takes the name of a new file, got ''")
        if self.logits and self.trace is None:
            raise MinilmError("--logits keeps the logits beside a trace, got no --trace; name its file")


@click.command(
    epilog="Example: minilm generate --prompt 'Once upon a time' --temperature 0.8 --top-k 40 --max-tokens 5"
    "\n\n\b\nIn Python: minilm.open().stream('Once upon a time', 'Temperature(0.8) TopK(40)', max_tokens=5)"
)
@run_options(20, "The most new tokens; 0 shows the table of the next token alone.")
@click.option("--show", type=click.Choice(["text", "brief", "full"]), default="brief", show_default=True)
@click.option("--score-prompt", is_flag=True, help="First show how well the model predicts the prompt.")
@click.option("--live", is_flag=True, help="A bar chart in place instead of lines.")
@click.option("--delay", default=0.0, metavar="SECONDS", help="Wait after every step.")
@click.option("--trace", metavar="FILE", help="Write the records to this file, one JSON line each.")
@click.option("--logits", is_flag=True, help="Keep all logits in FILE.logits.npy, for minilm trace replay.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of text.")
@takes(GenerateRequest)
def command(request: GenerateRequest) -> None:
    """Stream text and see, for every token, how it was chosen."""
    breakpoints = request.breakpoints()
    opened = request.open()
    cursor = request.start(opened)
    if request.score_prompt:
        tokens = list(opened.score(cursor.ids.tolist()))
        text.write(f"{score_table(tokens)}\n\n{score_total(total(tokens))}", sys.stdout, end="\n\n")
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(writer) for writer in _writers(cursor, request)]
        steps = _recorded(cursor, writers, request.delay)
        steps = _paused(breakpoints, steps, cursor.settings.eos_ids)
        if not request.as_lines:
            _show(cursor, steps, request)
        # What was not shown, or not shown to its end, is still recorded.
        for _ in steps:
            pass


def _writers(
    cursor: Cursor, request: GenerateRequest
) -> Iterator[contextlib.AbstractContextManager[TraceWriter]]:
    if request.as_lines:
        yield TraceWriter(sys.stdout, cursor)
    if request.trace is not None:
        yield new_trace(request.trace, cursor, logits=request.logits)


def _recorded(cursor: Cursor, writers: Sequence[TraceWriter], delay: float) -> Iterator[Step]:
    """Yield the steps of a run; each is written to every trace before it is shown."""
    for place in cursor.cursors():
        step = place.peek()
        for writer in writers:
            writer.step(step, place.reading.logits[-1])
        yield step
        time.sleep(delay)


def _paused(
    breakpoints: Sequence[Condition], steps: Iterator[Step], eos_ids: Sequence[int]
) -> Iterator[Step]:
    """Yield the steps up to the first breakpoint, and name it on standard error."""
    held = yield from run_until(breakpoints, steps, eos_ids)
    if held is not None:
        number, condition = held
        click.echo(f"stopped after token {number}: {condition.text}", err=True)


def _show(cursor: Cursor, steps: Iterator[Step], request: GenerateRequest) -> None:
    if request.max_tokens == 0:
        _print_header(cursor)
        text.write(text.render(cursor.peek().decision, request.show.replace("text", "brief")), sys.stdout)
    elif request.show == "text":
        _print_text(steps)
    else:
        _print_header(cursor)
        finish, ids, texts = None, [], []
        for step in _played(steps) if request.live else _printed(steps, request.show):
            finish = step.finish
            ids.append(step.decision.chosen.id)
            texts.append(step.new_text)
        text.write(text.footer(finish, ids, "".join(texts)), sys.stdout)


def _print_header(cursor: Cursor) -> None:
    ids = cursor.ids.tolist()
    texts, raws = zip(*(cursor.texts(i) for i in ids), strict=True)
    settings = cursor.settings
    text.write(
        text.header(ids, texts, settings.stages, settings.seed, raws=raws, model=cursor.model.name),
        sys.stdout,
        end="\n\n",
    )


def _print_text(steps: Iterator[Step]) -> None:
    for step in steps:
        text.write(text.render(step, "text"), sys.stdout, end="")
        sys.stdout.flush()
    text.write("", sys.stdout)


def _played(steps: Iterator[Step]) -> Iterator[Step]:
    # Only --live needs rich.
    from minilm.faces.live import play

    return play(steps)


def _printed(steps: Iterator[Step], show: str) -> Iterator[Step]:
    so_far = ""
    for step in steps:
        so_far += step.new_text
        text.write(text.render(step, show, so_far=so_far), sys.stdout, end="\n\n")
        sys.stdout.flush()
        yield step
