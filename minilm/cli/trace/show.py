"""minilm trace: show a recorded run, check it, and compare it with another.

What it writes into files is in files.py, replays are in replay.py.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass

import click

from minilm.cli.options.request import takes
from minilm.cli.trace.files import csv_command, html_command, plot
from minilm.cli.trace.replay import replay, sweep_command
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap_line
from minilm.faces.trace import asked_lines, margin_lines
from minilm.faces.visible import visible
from minilm.records import Step
from minilm.trace import Trace, read_trace
from minilm.trace.audit.logits import ReplayAudit, audit_trace
from minilm.trace.diff import diff
from minilm.trace.json import as_json, dumps
from minilm.trace.logits import logits_path
from minilm.trace.replay import Recording, open_recording
from minilm.trace.schema import trace_schema

__all__ = ["CheckRequest", "DiffRequest", "ShowRequest", "command"]


@click.group(epilog="Example: minilm trace show run.jsonl\n\n\b\nIn Python: minilm.read_trace('run.jsonl')")
def command() -> None:
    """Look at a recorded run: show, plot, html, csv, diff, check, replay, sweep."""


for _part in (plot, html_command, csv_command, replay, sweep_command):
    command.add_command(_part)


@dataclass(frozen=True, kw_only=True)
class ShowRequest:
    """The options of `minilm trace show`.

    Attributes:
        file: The trace; None is allowed with `schema` only.
        show: How much to show: text, brief or full.
        wanted: The steps to show, such as "3" or "2-5"; None for all.
        margins: Show how near each step was to another token.
        schema: Print the JSON Schema of a trace instead.
        as_lines: Print the steps as JSON lines.
    """

    file: str | None
    show: str
    wanted: str | None
    margins: bool
    schema: bool
    as_lines: bool


@command.command(
    epilog="Example: minilm trace show run.jsonl --steps 1-3 --show full\n\n\b\n"
    "In Python: minilm.read_trace('run.jsonl').steps[:3]"
)
@click.argument("file", metavar="FILE", required=False)
@click.option("--show", type=click.Choice(["text", "brief", "full"]), default="brief", show_default=True)
@click.option("--steps", "wanted", metavar="N[-M]", help="Show only these steps, counted from 1.")
@click.option("--margins", is_flag=True, help="How near each step was to another token; needs the logits.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a trace's lines instead.")
@click.option("--json", "as_lines", is_flag=True, help="Print the steps as JSON lines.")
@takes(ShowRequest)
def show(request: ShowRequest) -> None:
    """Print the steps of FILE as minilm generate does.

    With --show full it also prints the margins, where the logits are beside FILE.
    """
    if request.schema:
        click.echo(json.dumps(trace_schema(), indent=1, ensure_ascii=False))
        return
    if request.file is None:
        raise MinilmError("trace show needs the FILE of a trace, got none; --schema alone needs no file")
    trace = read_trace(request.file)
    steps = trace.steps[_span(request.wanted, len(trace.steps))]
    if request.as_lines:
        for step in steps:
            click.echo(dumps(as_json(step)))
        return
    with_margins = request.margins or (request.show == "full" and logits_path(request.file).exists())
    recording = open_recording(request.file) if with_margins else None
    if request.show != "text":
        text.write(asked_lines(trace.start), sys.stdout, end="\n\n")
    for step in steps:
        _print_step(step, request, recording)
    if request.show == "text":
        text.write("", sys.stdout)
    elif request.wanted is None:
        _print_footer(trace)


def _span(wanted: str | None, size: int) -> slice:
    """Return the steps that "3" or "2-5" names."""
    if wanted is None:
        return slice(None)
    first, dash, last = wanted.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise MinilmError(f"--steps is a number or a range such as 2-5, got {wanted!r}")
    low, high = int(first), int(last) if dash else int(first)
    if not 1 <= low <= high <= size:
        raise MinilmError(f"--steps {wanted} is not within the {size} steps of the trace")
    return slice(low - 1, high)


def _print_step(step: Step, request: ShowRequest, recording: Recording | None) -> None:
    end = "" if request.show == "text" else "\n\n"
    shown = text.render(step, request.show)
    if recording is not None and not step.decision.forced:
        shown += f"\n{_margins(recording, step.index, needed=request.margins)}"
    text.write(shown, sys.stdout, end=end)


def _print_footer(trace: Trace) -> None:
    finish = None if trace.end is None else trace.end["finish"]
    ids = [step.decision.chosen.id for step in trace.steps]
    text.write(text.footer(finish, ids, "".join(step.new_text for step in trace.steps)), sys.stdout)


def _margins(recording: Recording, index: int, *, needed: bool) -> str:
    """Return the margins of a step as text, or, where they are not needed, why they are not known."""
    try:
        return margin_lines(recording.margins(index), recording.texts)
    except MinilmError as error:
        if needed:
            raise
        return "\n".join(wrap_line(f" margins not known: {error}", WIDTH, "   "))


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """The options of `minilm trace check`.

    Attributes:
        file: The trace.
        as_lines: Print the violations as JSON lines.
    """

    file: str
    as_lines: bool


@command.command(
    "check",
    epilog="Example: minilm trace check run.jsonl\n\n\b\n"
    "In Python: from minilm.trace.audit.logits import audit_trace; audit_trace('run.jsonl')",
)
@click.argument("file", metavar="FILE")
@click.option("--json", "as_lines", is_flag=True, help="Print the violations as JSON lines.")
@takes(CheckRequest)
def print_violations(request: CheckRequest) -> None:
    """Check that the numbers of FILE agree with each other.

    Where its logits are beside it, every step is also decided again from them. Every line that breaks a rule
    is named with the rule, and then the exit code is 1.
    """
    violations, replayed = audit_trace(request.file)
    for violation in violations:
        plain = visible(str(violation), keep="")
        line = dumps({"violation": as_json(violation)}) if request.as_lines else plain
        text.write(line, sys.stdout)
    if not violations and not request.as_lines:
        text.write(f"{visible(request.file, keep='')}: every line passes every check", sys.stdout)
        if replayed is not None:
            text.write(visible(_replay_sentence(replayed), keep=""), sys.stdout)
    click.get_current_context().exit(1 if violations else 0)


def _replay_sentence(audit: ReplayAudit) -> str:
    """Say how many steps follow from the logits, and why the others could not be decided again."""
    why = audit.left_out and audit.left_out.partition(";")[0]
    if why and not audit.same:
        return f"its steps cannot be decided again from the logits: {why}"
    same = f"its {audit.same} steps, decided again from the logits, are the same"
    return f"{same}; the others cannot be: {why}" if why else same


@dataclass(frozen=True, kw_only=True)
class DiffRequest:
    """The options of `minilm trace diff`.

    Attributes:
        left: The first trace.
        right: The second trace.
        tolerance: How much two numbers may differ, times max(1, the larger one).
        as_lines: Print every difference as a JSON line.
    """

    left: str
    right: str
    tolerance: float
    as_lines: bool


@command.command(
    "diff",
    epilog="Example: minilm trace diff run.jsonl run.jsonl\n\n\b\n"
    "In Python: from minilm.trace.diff import diff; "
    "diff(minilm.read_trace('run.jsonl'), minilm.read_trace('run.jsonl'))",
)
@click.argument("left", metavar="FILE")
@click.argument("right", metavar="OTHER")
@click.option(
    "--tolerance",
    default=1e-5,
    show_default=True,
    help="How much numbers may differ, times max(1, the larger one).",
)
@click.option("--json", "as_lines", is_flag=True, help="Print every difference as a JSON line.")
@takes(DiffRequest)
def diff_command(request: DiffRequest) -> None:
    """Name the first step and stage where FILE and OTHER differ.

    The exit code is 1 where they differ.
    """
    if not 0 <= request.tolerance < math.inf:
        raise MinilmError(f"--tolerance must be a number from 0, got {request.tolerance}")
    found = list(diff(read_trace(request.left), read_trace(request.right), request.tolerance))
    if request.as_lines:
        for difference in found:
            text.write(dumps({"difference": as_json(difference)}), sys.stdout)
    elif not found:
        text.write("the two runs agree in every step", sys.stdout)
    else:
        asked = [one for one in found if one.index is None]
        steps = [one for one in found if one.index is not None]
        # Of a long run the first difference is shown, and the last one or the one with another token.
        for one in [*asked, *steps[:1], *(d for d in steps[1:] if d.chosen or d is steps[-1])]:
            text.write(visible(one.sentence(request.left, request.right), keep=""), sys.stdout)
    click.get_current_context().exit(1 if found else 0)
