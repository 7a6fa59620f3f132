"""minilm demo: the whole product in about a minute, from a corpus to a report that can be shown in class."""

from __future__ import annotations

import sys

import click

from minilm.builtin import RECIPE
from minilm.cli.options.request import takes
from minilm.faces.text import write
from minilm.workflows.demo import Chapter, DemoRequest, Note, run_demo

__all__ = ["command"]


@click.command(
    epilog="Example: minilm demo --out my-demo --steps 100\n\n\b\n"
    "In Python: from minilm.workflows.demo import DemoRequest, run_demo; run_demo(DemoRequest())"
)
@click.option("--out", metavar="DIR", help="A new folder for all that it makes; demo by default.")
@click.option("--steps", default=RECIPE.steps, show_default=True, help="Training steps of the LSTM.")
@click.option("--seed", default=0, show_default=True, help="Seed of stories, weights, batches and dice.")
@takes(DemoRequest)
def command(request: DemoRequest) -> None:
    """Show the whole product in about a minute: train, watch every token, compare frameworks, report."""
    for event in run_demo(request):
        if isinstance(event, Chapter):
            write(f"\n[{event.number}/{event.count}] {event.title}", sys.stdout)
        elif isinstance(event, Note):
            write(event.text, sys.stdout)
        else:
            _write_table(event.rows)


def _write_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        write(f"  {cells}".rstrip(), sys.stdout)
