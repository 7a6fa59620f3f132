"""What else minilm compare does than holding backends side by side: the options, and which mode is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from minilm.errors import MinilmError

__all__ = ["mode_options", "run_mode"]

_OPTIONS = (
    click.argument("subjects", nargs=-1, metavar="[reference FILE.py | MODEL MODEL]"),
    click.option("--template", metavar="FRAMEWORK", help="Print a student's file: numpy, torch, tensorflow."),
    click.option("--seconds", default=60.0, show_default=True, help="How long a student's file may run."),
    click.option("--rows", is_flag=True, help="List the known differences between the frameworks, by name."),
    click.option("--with", "injected", metavar="ROWS", help="Switch rows on, by commas, and see them named."),
    click.option("--native", metavar="A,B", help="Explain the gap that two frameworks' own defaults leave."),
    click.option("--ladder", is_flag=True, help="Make them equal one correction at a time (see --native)."),
    click.option("--plot", metavar="FILE", help="Draw the ladder, as PNG or SVG."),
)


def mode_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the other modes to the command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_mode(options: dict[str, Any], as_lines: bool) -> int | None:
    """Run the mode that the options ask for; its exit code, or None where none of them is meant."""
    if options["template"]:
        from minilm.comparison.student_template import template

        click.echo(template(options["template"]), nl=False)
        return 0
    if options["subjects"]:
        from minilm.cli import compare_student

        return compare_student.run(options["subjects"], options, as_lines)
    if options["rows"] or options["injected"]:
        from minilm.cli import compare_causes

        asked = options["injected"]
        return compare_causes.with_rows(asked, as_lines) if asked else compare_causes.show_rows()
    if options["plot"] and not options["ladder"]:
        raise MinilmError("--plot draws the ladder; give --ladder too")
    if options["native"] or options["ladder"]:
        from minilm.cli import compare_native

        mode = compare_native.show_ladder if options["ladder"] else compare_native.explain
        return mode(options, as_lines)
    return None
