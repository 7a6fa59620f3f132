"""minilm trace csv, plot, html: a recorded run as a table, as pictures, as one page."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import click

from minilm.atomic import write_new_file
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.trace import CANDIDATE_HEADS, STEP_HEADS, asked_lines, candidate_rows, step_row
from minilm.trace import Trace, read_trace

__all__ = ["csv_command", "html_command", "plot"]

MOST_PICTURED = 48  # steps; a picture of more has columns too narrow to read


@click.command("csv", epilog="Example: minilm trace csv run.jsonl --candidates")
@click.argument("file", metavar="FILE")
@click.option("--candidates", is_flag=True, help="A row per candidate of every step.")
@click.option("--out", metavar="CSV", help="Write to this new file; printed unless given.")
def csv_command(file: str, candidates: bool, out: str | None) -> None:
    """Write FILE as a flat table, a row per step."""
    steps, cells = read_trace(file).steps, io.StringIO()
    writer = csv.writer(cells, lineterminator="\n")
    writer.writerow(CANDIDATE_HEADS if candidates else STEP_HEADS)
    for step in steps:
        writer.writerows(candidate_rows(step) if candidates else [step_row(step)])
    if out is None:
        text.write(cells.getvalue(), sys.stdout, end="")
    else:
        write_new_file(Path(out), cells.getvalue().encode(), "--out")


@click.command(epilog="Example: minilm trace plot run.jsonl --out pictures")
@click.argument("file", metavar="FILE")
@click.option("--out", default="pictures", show_default=True, help="Folder for the pictures.")
@click.option("--format", "kind", type=click.Choice(["png", "svg"]), default="png", show_default=True)
def plot(file: str, out: str, kind: str) -> None:
    """Draw FILE: a run as pictures.

    Its course, candidates, embeddings and ranks, and the step of the highest entropy.
    """
    from minilm.faces.plots import save  # matplotlib takes a while to import

    trace = _with_steps(file)
    for name, picture in _pictures(trace).items():
        click.echo(save(picture, Path(out) / f"{name}.{kind}"))


@click.command("html", epilog="Example: minilm trace html run.jsonl --out run.html")
@click.argument("file", metavar="FILE")
@click.option("--out", metavar="PAGE", help="The new page; FILE.html unless given.")
@click.option("--most", default=200, show_default=True, help="Steps that get a card of their own.")
def html_command(file: str, out: str | None, most: int) -> None:
    """Write FILE as one page: what was asked, pictures, every step.

    The page needs nothing else, and no network.
    """
    from minilm.faces.html import Section, report

    if most < 0:
        raise MinilmError(f"--most must be 0 or more steps, got {most}")
    trace = _with_steps(file)
    prompt = trace.start.get("prompt", "")
    text_of = "".join(step.new_text for step in trace.steps)
    shown = trace.steps[:most]
    left_out = len(trace.steps) - len(shown)
    prose = f"The first {len(shown)} steps; {left_out} more are in the trace." if left_out else ""
    asked = {"The run": asked_lines(trace.start), "The text": prompt + text_of}
    sections = [
        Section("What was asked", texts=asked),
        Section("The whole run", pictures=list(_pictures(trace).values())),
        Section("Step by step", prose, steps=shown, prompt=prompt),
    ]
    page = Path(out or f"{file}.html")
    write_new_file(page, report("A run, token by token", sections).encode(), "--out")
    click.echo(page)


def _with_steps(file: str) -> Trace:
    trace = read_trace(file)
    if not trace.steps:
        raise MinilmError(f"Trace {file} has no steps, so there is nothing to draw")
    return trace


def _pictures(trace: Trace) -> dict:
    """The pictures of a run by name; of a long one the first steps."""
    from minilm.faces import plots

    steps = trace.steps[:MOST_PICTURED]
    least_sure = max(trace.steps, key=lambda step: step.decision.raw.entropy)
    return {
        "course": plots.course(trace.steps),
        "candidates": plots.heatmap(steps),
        "embeddings": plots.embeddings(trace.steps),
        "ranks": plots.ranks(trace.steps),
        f"step-{least_sure.index + 1}": plots.bars(least_sure),
    }
