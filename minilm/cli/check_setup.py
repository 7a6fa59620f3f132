"""minilm check-setup: what this machine can run, and the line that fixes what does not run."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from minilm.faces import console
from minilm.workflows.setup_check import SetupRow, check_setup

__all__ = ["command"]


@click.command(
    "check-setup",
    epilog="Example: minilm check-setup\n\n\b\n"
    "In Python: from minilm.workflows.setup_check import check_setup; check_setup()",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check what this machine can run, and name the line that fixes the rest.

    The exit code is 1 where something can be fixed.
    """
    well = True
    for row in check_setup():
        well &= row.ok
        console.write(json.dumps(asdict(row)) if as_json else _line(row), sys.stdout)
        sys.stdout.flush()
    context.exit(0 if well else 1)


def _line(row: SetupRow) -> str:
    line = f"{row.name:<10} {'ok' if row.ok else 'not ok':<7} {row.detail}"
    return f"{line}\n{'':<18} to fix: {row.mend}" if row.mend else line
