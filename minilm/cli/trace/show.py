"""minilm trace: a recorded run shown, checked and compared.

Its files are in trace_files.py, its replays in trace_replay.py.
"""

from __future__ import annotations

import json
import math
import sys

import click

from minilm.cli.trace.files import csv_command, html_command, plot
from minilm.cli.trace.replay import replay, sweep_command
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap
from minilm.faces.trace import asked_lines, margin_lines
from minilm.faces.visible import visible
from minilm.records import Step
from minilm.trace import read_trace
from minilm.trace.audit.check import check_trace
from minilm.trace.audit.logits import ReplayAudit, check_replay
from minilm.trace.diff import diff
from minilm.trace.json import as_json, dumps
from minilm.trace.logits import logits_path
from minilm.trace.replay import Recording, open_recording
from minilm.trace.schema import trace_schema

__all__ = ["command"]


@click.group(epilog="Example: minilm trace show run.jsonl")
def command() -> None:
    """Look at a recorded run: show, plot, html, csv, diff, check, replay, sweep."""


for _part in (plot, html_command, csv_command, replay, sweep_command):
    command.add_command(_part)


@command.command(epilog="Example: minilm trace show run.jsonl --steps 1-3 --show full")
@click.argument("file", metavar="FILE", required=False)
@click.option("--show", type=click.Choice(["text", "brief", "full"]), default="brief", show_default=True)
@click.option("--steps", "wanted", metavar="N[-M]", help="These steps alone, from 1.")
@click.option("--margins", is_flag=True, help="How near each step was to another token; needs the logits.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of a trace's lines instead.")
@click.option("--json", "as_lines", is_flag=True, help="Print the steps as JSON lines.")
def show(
    file: str | None, show: str, wanted: str | None, margins: bool, schema: bool, as_lines: bool
) -> None:
    """Print the steps of FILE as minilm generate does.

    With --show full, and the logits beside FILE, the margins too.
    """
    if schema:
        click.echo(json.dumps(trace_schema(), indent=1, ensure_ascii=False))
        return
    if file is None:
        raise MinilmError("trace show needs the FILE of a trace, got none; --schema alone needs no file")
    trace = read_trace(file)
    chosen = trace.steps[_span(wanted, len(trace.steps))]
    if as_lines:
        for step in chosen:
            click.echo(dumps(as_json(step)))
        return
    near = open_recording(file) if margins or (show == "full" and logits_path(file).exists()) else None
    if show != "text":
        text.write(asked_lines(trace.start), sys.stdout, end="\n\n")
    for step in chosen:
        _print_step(step, show, near, margins)
    if show == "text":
        text.write("", sys.stdout)
    elif wanted is None:
        finish = None if trace.end is None else trace.end["finish"]
        ids = [step.decision.chosen.id for step in trace.steps]
        text.write(text.footer(finish, ids, "".join(s.new_text for s in trace.steps)), sys.stdout)


def _span(wanted: str | None, size: int) -> slice:
    """The steps that "3" or "2-5" names."""
    if wanted is None:
        return slice(None)
    first, dash, last = wanted.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise MinilmError(f"--steps is a number or a range such as 2-5, got {wanted!r}")
    low, high = int(first), int(last) if dash else int(first)
    if not 1 <= low <= high <= size:
        raise MinilmError(f"--steps {wanted} is not within the {size} steps of the trace")
    return slice(low - 1, high)


def _print_step(step: Step, show: str, near: Recording | None, margins: bool) -> None:
    end = "" if show == "text" else "\n\n"
    shown = text.render(step, show)
    if near is not None and not step.decision.forced:
        shown += f"\n{_margins(near, step.index, margins)}"
    text.write(shown, sys.stdout, end=end)


def _margins(near: Recording, index: int, needed: bool) -> str:
    """How near a step was to another token; where nobody asked for it, why that is not known."""
    try:
        return margin_lines(near.margins(index), near.texts)
    except MinilmError as error:
        if needed:
            raise
        return "\n".join(wrap(f" margins not known: {error}", WIDTH, "   "))


@command.command(epilog="Example: minilm trace check run.jsonl")
@click.argument("file", metavar="FILE")
@click.option("--json", "as_lines", is_flag=True, help="Print the violations as JSON lines.")
@click.pass_context
def check(context: click.Context, file: str, as_lines: bool) -> None:
    """Verify what the numbers of FILE owe to one another.

    With its logits beside it, every step is decided again too. Where a line does not keep to it, its number
    and the identity are named, and the exit code is 1.
    """
    found = list(check_trace(file))
    again = None if found or not logits_path(file).exists() else check_replay(file)
    found += again.violations if again else []
    for violation in found:
        said = dumps({"violation": as_json(violation)}) if as_lines else visible(str(violation), keep="")
        text.write(said, sys.stdout)
    if not found and not as_lines:
        text.write(f"{visible(file, keep='')}: every line keeps the identities of its audit", sys.stdout)
        if again is not None:
            text.write(visible(_again(again), keep=""), sys.stdout)
    context.exit(1 if found else 0)


def _again(audit: ReplayAudit) -> str:
    """How many steps the logits gave again, and why not the others."""
    why = audit.left_out and audit.left_out.partition(";")[0]
    if why and not audit.same:
        return f"its steps cannot be decided again from the logits: {why}"
    same = f"its {audit.same} steps, decided again from the logits, are the same"
    return f"{same}; the others cannot be: {why}" if why else same


@command.command("diff", epilog="Example: minilm trace diff run.jsonl run.jsonl")
@click.argument("left", metavar="FILE")
@click.argument("right", metavar="OTHER")
@click.option(
    "--tolerance", default=1e-5, show_default=True, help="Of numbers, times max(1, the larger one)."
)
@click.option("--json", "as_lines", is_flag=True, help="Print every difference as a JSON line.")
@click.pass_context
def diff_command(context: click.Context, left: str, right: str, tolerance: float, as_lines: bool) -> None:
    """Name the first step and stage where FILE and OTHER part.

    The exit code is 1 where they do.
    """
    if not 0 <= tolerance < math.inf:
        raise MinilmError(f"--tolerance must be a number from 0, got {tolerance}")
    found = list(diff(read_trace(left), read_trace(right), tolerance))
    if as_lines:
        for difference in found:
            text.write(dumps({"difference": as_json(difference)}), sys.stdout)
    elif not found:
        text.write("the two runs agree in every step", sys.stdout)
    else:
        parts = [d for d in found if d.index is None]
        steps = [d for d in found if d.index is not None]
        for difference in [*parts, *steps[:1], *(d for d in steps[1:] if d.chosen or d is steps[-1])]:
            text.write(visible(difference.sentence(left, right), keep=""), sys.stdout)
    context.exit(1 if found else 0)
