"""minilm compare --native A,B and --ladder: two frameworks with their defaults, explained and made equal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from minilm.cli import compare_causes
from minilm.comparison.ladder import Rung, climb, heights
from minilm.comparison.native import Native, natives
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.ladder import ladder_table
from minilm.generation.trace import dumps

__all__ = ["explain", "show_ladder"]

PAIR = "torch,tensorflow"


def explain(options: dict[str, Any], as_lines: bool) -> int:
    """Which defaults part two frameworks; exit code 1 where they do."""
    reference, suspect = _pair(options)
    return compare_causes.show(reference, suspect, as_lines)


def show_ladder(options: dict[str, Any], as_lines: bool) -> int:
    """Print the rungs, and draw them with --plot; exit code 1 where the last correction leaves a gap."""
    reference, suspect = _pair(options)
    rungs = list(_shown(climb(reference, suspect), heights(reference, suspect)))
    tolerance = reference.tolerance
    if options["plot"]:
        from minilm.faces.plots import save
        from minilm.faces.plots.ladder import ladder

        save(ladder(rungs, reference.name, suspect.name, tolerance), options["plot"])
    if as_lines:
        for rung in rungs:
            fields = {
                "label": rung.label,
                "left_out": rung.left_out,
                "apart": rung.apart.tolist(),
                "weights": rung.weights,
            }
            click.echo(dumps({"rung": fields}))
    else:
        console.write(ladder_table(rungs, reference.name, suspect.name, tolerance), sys.stdout)
    return 0 if [rung for rung in rungs if not rung.left_out][-1].losses <= tolerance else 1


def _pair(options: dict[str, Any]) -> tuple[Native, Native]:
    if options["steps"] < 1:
        raise MinilmError(f"--steps must be at least 1, got {options['steps']}")
    names = [name.strip() for name in (options["native"] or PAIR).split(",")]
    return natives(names, options["steps"], options["dtype"])


def _shown(rungs: Iterator[Rung], total: int) -> Iterator[Rung]:
    """The same rungs, with a progress bar on the terminal's standard error."""
    from rich.console import Console
    from rich.progress import track

    bar = Console(stderr=True)
    yield from track(rungs, "climbing", total, console=bar, transient=True, disable=not bar.is_terminal)
