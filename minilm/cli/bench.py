"""minilm bench: measure the speed of every backend here, against what anyone would write without minilm."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from minilm.bench import BENCHES, Figure, run
from minilm.cli.options.request import takes
from minilm.trace.json import as_json

__all__ = ["command"]


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """The options of `minilm bench`.

    Attributes:
        quick: fewer runs of fewer tokens.
        only: the benches to run; none means all.
        as_lines: print JSON instead of text.
    """

    quick: bool
    only: tuple[str, ...]
    as_lines: bool


@click.command(
    epilog="Example: minilm bench --quick --only imports\n\n\b\n"
    "In Python: from minilm.bench import run; run(['imports'], quick=True)"
)
@click.option("--quick", is_flag=True, help="Run less: this shows that all works, not how fast it is.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Run only this bench (may be repeated): {', '.join(BENCHES)}.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print one JSON object per line.")
@takes(BenchRequest)
def command(request: BenchRequest) -> None:
    """Measure each backend here. A figure is the median of several ratios to a plain loop without minilm.

    Exit code 1 if a figure misses its bar (with --quick the bars do not count).
    """
    all_met = True
    for figure in run(request.only, request.quick):
        all_met &= figure.met is not False
        line = json.dumps({**as_json(figure), "met": figure.met}) if request.as_lines else _line(figure)
        click.echo(line)
    click.get_current_context().exit(0 if all_met or request.quick else 1)


def _line(figure: Figure) -> str:
    bar = ""
    if figure.bar is not None:
        sense = "at least" if figure.at_least else "at most"
        bar = f"  {sense} {_amount(figure.bar, figure.unit)}: {'met' if figure.met else 'NOT MET'}"
    low, high = _amount(figure.low, figure.unit), _amount(figure.high, figure.unit)
    spread = f"({low} to {high}, {figure.runs} runs)"
    return f"{figure.name:<58} {_amount(figure.figure, figure.unit):>9} {spread:<32}{bar}"


def _amount(value: float, unit: str) -> str:
    """Return a figure with its unit; short times in milliseconds.

    >>> _amount(1.234, "x"), _amount(0.00035, "s"), _amount(0.2, "s")
    ('1.23x', '0.350ms', '0.20s')
    """
    return f"{value * 1e3:.3f}ms" if unit == "s" and value < 0.1 else f"{value:.2f}{unit}"
