"""minilm compare native: explain the difference that two frameworks' own defaults make, or remove it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from minilm.cli.compare.defaults import print_diagnosis
from minilm.cli.options.picture import PictureFile
from minilm.cli.options.request import takes
from minilm.comparison.defaults import diagnose
from minilm.comparison.defaults.ladder import LadderStep, apply_corrections, count_steps
from minilm.comparison.defaults.native import NativeFramework, create_natives
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import ladder_table
from minilm.faces.progress import show_progress
from minilm.trace.json import dumps

__all__ = ["NativeRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class NativeRequest:
    """The options of `minilm compare native`.

    Attributes:
        frameworks: Two backends with a comma between them.
        ladder: Make them equal one correction at a time, instead of explaining the difference.
        plot: A file for a picture of the ladder, PNG or SVG, or None.
        steps: Training steps of a run.
        dtype: float32 or float64.
        as_lines: Print JSON lines instead of a table.
    """

    frameworks: str
    ladder: bool
    plot: str | None
    steps: int
    dtype: str
    as_lines: bool


@click.command(
    epilog="Example: minilm compare native torch,tensorflow --ladder\n\n\b\n"
    "In Python: from minilm.comparison.defaults.native import create_natives; "
    "create_natives(['numpy', 'torch'], 20)"
)
@click.argument("frameworks", default="torch,tensorflow", metavar="A,B")
@click.option("--ladder", is_flag=True, help="Make them equal one correction at a time.")
@click.option("--plot", type=PictureFile(), metavar="FILE", help="Draw the ladder, as PNG or SVG.")
@click.option("--steps", default=20, show_default=True, help="Training steps of a run.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines instead of a table.")
@takes(NativeRequest)
def command(request: NativeRequest) -> None:
    """Explain the difference that two frameworks' defaults make.

    A,B are two frameworks, torch,tensorflow by default; each trains with its own defaults.
    Exit code 1 where they differ; with --ladder, where a difference is left after the last correction.
    """
    if request.plot and not request.ladder:
        raise MinilmError("--plot draws the ladder; give --ladder too")
    if request.steps < 1:
        raise MinilmError(f"--steps must be at least 1, got {request.steps}")
    names = [name.strip() for name in request.frameworks.split(",")]
    reference, suspect = create_natives(names, request.steps, request.dtype)
    if request.ladder:
        _show_ladder(reference, suspect, request)
    else:
        print_diagnosis(diagnose(reference, suspect), request.as_lines)


def _show_ladder(reference: NativeFramework, suspect: NativeFramework, request: NativeRequest) -> None:
    total = count_steps(reference, suspect)
    steps = list(show_progress(apply_corrections(reference, suspect), total, "correcting"))
    tolerance = reference.tolerance
    if request.plot:
        # Only --plot needs matplotlib, which takes a second to load.
        from minilm.faces.plots import save_picture
        from minilm.faces.plots.ladder import plot_ladder

        save_picture(plot_ladder(steps, reference.name, suspect.name, tolerance), request.plot)
    if request.as_lines:
        _print_lines(steps)
    else:
        console.write(ladder_table(steps, reference.name, suspect.name, tolerance), sys.stdout)
    last = [step for step in steps if not step.left_out][-1]
    click.get_current_context().exit(0 if last.losses <= tolerance else 1)


def _print_lines(steps: Sequence[LadderStep]) -> None:
    for step in steps:
        fields = {
            "label": step.label,
            "left_out": step.left_out,
            "apart": step.apart.tolist(),
            "weights": step.weights,
        }
        click.echo(dumps({"rung": fields}))
