"""minilm compare --with ROWS, --native A,B and --rows: the parity doctor."""

from __future__ import annotations

import sys
from typing import Any

import click

from minilm.comparison.causes import Diagnosis, Subject, diagnose
from minilm.comparison.rows import ROWS, Experiment
from minilm.faces import console
from minilm.faces.causes import diagnosis_lines, row_lines
from minilm.generation.trace import dumps

__all__ = ["show", "show_rows", "with_rows"]


def show_rows() -> int:
    """Print every row; exit code 0."""
    console.write(row_lines(ROWS.values()), sys.stdout)
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
        {"row": one.row.name, "alone": one.alone.apart, "where": one.alone.where, "left": one.left}
        for one in found.causes
    ]
    gaps = {"found": found.found.apart, "where": found.found.where, "unexplained": found.unexplained.apart}
    names = {"reference": found.reference, "suspect": found.suspect}
    return names | gaps | {"causes": causes, "measured": dict(found.measured)}
