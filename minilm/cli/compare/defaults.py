"""minilm compare defaults: list the frameworks' different defaults, or switch some on and see them named."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import click

from minilm.cli.options.request import takes
from minilm.comparison.defaults import DEFAULTS, Diagnosis, Experiment, diagnose
from minilm.faces import console
from minilm.faces.comparison import default_lines, diagnosis_lines
from minilm.trace.json import dumps

__all__ = ["DefaultsRequest", "command", "print_diagnosis"]


@dataclass(frozen=True, kw_only=True)
class DefaultsRequest:
    """The options of `minilm compare defaults`.

    Attributes:
        injected: The names of defaults to switch on, with commas between them; None lists all.
        as_lines: Print the diagnosis as a JSON line.
    """

    injected: str | None
    as_lines: bool


@click.command(
    epilog="Example: minilm compare defaults --with two_biases,adam_epsilon\n\n\b\n"
    "In Python: from minilm.comparison.defaults import Experiment, diagnose; "
    "diagnose(Experiment(), Experiment(['two_biases']))"
)
@click.option("--with", "injected", metavar="NAMES", help="Switch these on, and see them named.")
@click.option("--json", "as_lines", is_flag=True, help="Print the diagnosis as a JSON line.")
@takes(DefaultsRequest)
def command(request: DefaultsRequest) -> None:
    """List the defaults in which PyTorch and Keras differ.

    With --with, some of them are switched on in one of two equal subjects, and named by the differences that
    they make. Exit code 1 where the two subjects differ.
    """
    if not request.injected:
        console.write(default_lines(DEFAULTS.values()), sys.stdout)
        return
    names = [name.strip() for name in request.injected.split(",") if name.strip()]
    reference, changed = Experiment(name="the reference"), Experiment(names, "the changed one")
    print_diagnosis(diagnose(reference, changed), request.as_lines)


def print_diagnosis(diagnosis: Diagnosis, as_lines: bool) -> None:
    """Print a diagnosis, and leave with exit code 1 where the two subjects differ.

    Args:
        diagnosis: the result of diagnose.
        as_lines: print a JSON line instead of a table.
    """
    if as_lines:
        click.echo(dumps({"diagnosis": _fields_of(diagnosis)}))
    else:
        console.write(diagnosis_lines(diagnosis), sys.stdout)
    click.get_current_context().exit(0 if diagnosis.equal else 1)


def _fields_of(found: Diagnosis) -> dict[str, Any]:
    causes = [
        {"row": one.default.name, "alone": one.alone.apart, "where": one.alone.where, "left": one.left}
        for one in found.causes
    ]
    return {
        "reference": found.reference,
        "suspect": found.suspect,
        "found": found.found.apart,
        "where": found.found.where,
        "unexplained": found.unexplained.apart,
        "causes": causes,
        "measured": dict(found.measured),
    }
