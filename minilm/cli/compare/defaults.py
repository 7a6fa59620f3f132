"""minilm compare --with ROWS, --native A,B and --rows: the parity doctor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from minilm.comparison.defaults import DEFAULTS, Experiment
from minilm.comparison.defaults.diagnosis import Diagnosis, Subject, diagnose
from minilm.comparison.defaults.ladder import LadderStep, apply_corrections, count_steps
from minilm.comparison.defaults.native import NativeFramework, create_natives
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import diagnosis_lines, ladder_table, row_lines
from minilm.trace.json import dumps

__all__ = ["explain", "show", "show_ladder", "show_rows", "with_rows"]


def show_rows() -> int:
    """Print every row; exit code 0."""
    console.write(row_lines(DEFAULTS.values()), sys.stdout)
    return 0


def with_rows(names: str, as_lines: bool) -> int:
    """Switch rows on in one of two equal NumPy subjects, and let the doctor find them."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    return show(Experiment(name="the reference"), Experiment(asked, "the changed one"), as_lines)


def show(reference: Subject, suspect: Subject, as_lines: bool) -> int:
    """Print what the doctor finds; exit code 1 where the two differ."""
    found = diagnose(reference, suspect)
    if as_lines:
        click.echo(dumps({"diagnosis": _fields(found)}))
    else:
        console.write(diagnosis_lines(found), sys.stdout)
    return 0 if found.equal else 1


def _fields(found: Diagnosis) -> dict[str, Any]:
    causes = [
        {"row": one.default.name, "alone": one.alone.apart, "where": one.alone.where, "left": one.left}
        for one in found.causes
    ]
    gaps = {"found": found.found.apart, "where": found.found.where, "unexplained": found.unexplained.apart}
    names = {"reference": found.reference, "suspect": found.suspect}
    return names | gaps | {"causes": causes, "measured": dict(found.measured)}


PAIR = "torch,tensorflow"


def explain(options: dict[str, Any], as_lines: bool) -> int:
    """Which defaults part two frameworks; exit code 1 where they do."""
    reference, suspect = _pair(options)
    return show(reference, suspect, as_lines)


def show_ladder(options: dict[str, Any], as_lines: bool) -> int:
    """Print the rungs, and draw them with --plot; exit code 1 where the last correction leaves a gap."""
    reference, suspect = _pair(options)
    rungs = list(_shown(apply_corrections(reference, suspect), count_steps(reference, suspect)))
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


def _pair(options: dict[str, Any]) -> tuple[NativeFramework, NativeFramework]:
    if options["steps"] < 1:
        raise MinilmError(f"--steps must be at least 1, got {options['steps']}")
    names = [name.strip() for name in (options["native"] or PAIR).split(",")]
    return create_natives(names, options["steps"], options["dtype"])


def _shown(rungs: Iterator[LadderStep], total: int) -> Iterator[LadderStep]:
    """The same rungs, with a progress bar on the terminal's standard error."""
    from rich.console import Console
    from rich.progress import track

    bar = Console(stderr=True)
    yield from track(rungs, "climbing", total, console=bar, transient=True, disable=not bar.is_terminal)
