"""minilm trace csv, plot and html: a recorded run as a table, as pictures, as one page."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from minilm.atomic import write_new_file
from minilm.cli.options.request import takes
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.trace import CANDIDATE_HEADS, STEP_HEADS, asked_lines, candidate_rows, step_row
from minilm.trace import Trace, read_trace

__all__ = ["CsvRequest", "HtmlRequest", "PlotRequest", "csv_command", "html_command", "plot"]

# The columns of a picture with more steps are too narrow to read.
_MOST_STEPS = 48


@dataclass(frozen=True, kw_only=True)
class CsvRequest:
    """The options of `minilm trace csv`.

    Attributes:
        file: The trace.
        candidates: Write a row per candidate instead of a row per step.
        out: The new file; None to print the table.
    """

    file: str
    candidates: bool
    out: str | None


@click.command(
    "csv",
    epilog="Example: minilm trace csv run.jsonl --candidates\n\n\b\n"
    "In Python: from minilm.faces.trace import candidate_rows; "
    "[candidate_rows(step) for step in minilm.read_trace('run.jsonl').steps]",
)
@click.argument("file", metavar="FILE")
@click.option("--candidates", is_flag=True, help="Write a row for every candidate of every step.")
@click.option("--out", metavar="CSV", help="Write to this new file; by default the table is printed.")
@takes(CsvRequest)
def csv_command(request: CsvRequest) -> None:
    """Write FILE as a flat table with a row per step."""
    steps, cells = read_trace(request.file).steps, io.StringIO()
    writer = csv.writer(cells, lineterminator="\n")
    writer.writerow(CANDIDATE_HEADS if request.candidates else STEP_HEADS)
    for step in steps:
        writer.writerows(candidate_rows(step) if request.candidates else [step_row(step)])
    if request.out is None:
        text.write(cells.getvalue(), sys.stdout, end="")
    else:
        write_new_file(Path(request.out), cells.getvalue().encode(), "--out")


@dataclass(frozen=True, kw_only=True)
class PlotRequest:
    """The options of `minilm trace plot`.

    Attributes:
        file: The trace.
        out: The folder for the pictures.
        kind: png or svg.
    """

    file: str
    out: str
    kind: str


@click.command(
    epilog="Example: minilm trace plot run.jsonl --out pictures\n\n\b\n"
    "In Python: from minilm.faces.plots import plot_heatmap, save_picture; "
    "save_picture(plot_heatmap(minilm.read_trace('run.jsonl').steps), 'steps.png')"
)
@click.argument("file", metavar="FILE")
@click.option("--out", default="pictures", show_default=True, help="Folder for the pictures.")
@click.option("--format", "kind", type=click.Choice(["png", "svg"]), default="png", show_default=True)
@takes(PlotRequest)
def plot(request: PlotRequest) -> None:
    """Draw FILE as pictures.

    They show the course of the run, its candidates, embeddings and ranks, and the step with the highest
    entropy.
    """
    # Imported here, because matplotlib takes a while to import.
    from minilm.faces.plots import save_picture

    for name, picture in _pictures(_read_steps(request.file)).items():
        click.echo(save_picture(picture, Path(request.out) / f"{name}.{request.kind}"))


@dataclass(frozen=True, kw_only=True)
class HtmlRequest:
    """The options of `minilm trace html`.

    Attributes:
        file: The trace.
        out: The new page; None for FILE.html.
        most: How many steps get a card of their own.
    """

    file: str
    out: str | None
    most: int


@click.command(
    "html",
    epilog="Example: minilm trace html run.jsonl --out run.html\n\n\b\n"
    "In Python: from minilm.faces.html import Section, report; "
    "report('A run', [Section('Steps', steps=minilm.read_trace('run.jsonl').steps)])",
)
@click.argument("file", metavar="FILE")
@click.option("--out", metavar="PAGE", help="The new page; FILE.html by default.")
@click.option("--most", default=200, show_default=True, help="How many steps get a card of their own.")
@takes(HtmlRequest)
def html_command(request: HtmlRequest) -> None:
    """Write FILE as one page: what was asked, pictures, every step.

    The page needs no other file and no network.
    """
    from minilm.faces.html import report

    if request.most < 0:
        raise MinilmError(f"--most must be 0 or more steps, got {request.most}")
    page = Path(request.out or f"{request.file}.html")
    content = report("A run, token by token", _sections(_read_steps(request.file), request.most))
    write_new_file(page, content.encode(), "--out")
    click.echo(page)


def _sections(trace: Trace, most: int) -> list[Any]:
    """Return the sections of the page; only the first steps get a card."""
    from minilm.faces.html import Section

    prompt = trace.start.get("prompt", "")
    written = "".join(step.new_text for step in trace.steps)
    shown = trace.steps[:most]
    left_out = len(trace.steps) - len(shown)
    prose = f"The first {len(shown)} steps; {left_out} more are in the trace." if left_out else ""
    return [
        Section("What was asked", texts={"The run": asked_lines(trace.start), "The text": prompt + written}),
        Section("The whole run", pictures=list(_pictures(trace).values())),
        Section("Step by step", prose, steps=shown, prompt=prompt),
    ]


def _read_steps(file: str) -> Trace:
    """Return a trace that has steps."""
    trace = read_trace(file)
    if not trace.steps:
        raise MinilmError(f"Trace {file} has no steps, so there is nothing to draw")
    return trace


def _pictures(trace: Trace) -> dict[str, Any]:
    """Return the pictures of a run by name; the candidates of a long run are those of its first steps."""
    from minilm.faces import plots

    least_sure = max(trace.steps, key=lambda step: step.decision.raw.entropy)
    return {
        "course": plots.plot_course(trace.steps),
        "candidates": plots.plot_heatmap(trace.steps[:_MOST_STEPS]),
        "embeddings": plots.plot_embeddings(trace.steps),
        "ranks": plots.plot_ranks(trace.steps),
        f"step-{least_sure.index + 1}": plots.plot_step(least_sure),
    }
