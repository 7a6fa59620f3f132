"""minilm bench: the speed of every backend here, against what anyone would write without minilm."""

from __future__ import annotations

import json

import click

from minilm.bench import BENCHES, Figure, run
from minilm.trace.json import as_json

__all__ = ["command"]


def _line(figure: Figure) -> str:
    bar = ""
    if figure.bar is not None:
        sense = "at least" if figure.at_least else "at most"
        bar = f"  {sense} {_amount(figure.bar, figure.unit)}: {'met' if figure.met else 'NOT MET'}"
    low, high = _amount(figure.low, figure.unit), _amount(figure.high, figure.unit)
    spread = f"({low} to {high}, {figure.runs} runs)"
    return f"{figure.name:<58} {_amount(figure.figure, figure.unit):>9} {spread:<32}{bar}"


def _amount(value: float, unit: str) -> str:
    """A figure with its unit; short times in milliseconds.

    >>> _amount(1.234, "x"), _amount(0.00035, "s"), _amount(0.2, "s")
    ('1.23x', '0.350ms', '0.20s')
    """
    return f"{value * 1e3:.3f}ms" if unit == "s" and value < 0.1 else f"{value:.2f}{unit}"


@click.command(epilog="Example: minilm bench --quick --only imports")
@click.option("--quick", is_flag=True, help="Fewer runs of fewer tokens: does it work, not how fast is it.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help=f"Only this bench (may be repeated): {', '.join(BENCHES)}.",
)
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(context: click.Context, quick: bool, only: tuple[str, ...], as_lines: bool) -> None:
    """Measure each backend here; every figure is a ratio within one run, the median of several.

    Exit code 1 where a bar is not met (with --quick only the figures count, not the bars).
    """
    met = True
    for figure in run(only, quick):
        met &= figure.met is not False
        click.echo(json.dumps({**as_json(figure), "met": figure.met}) if as_lines else _line(figure))
    context.exit(0 if met or quick else 1)
