"""minilm compare template and reference: a student's file to begin with, and where it first differs."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from minilm.cli.options.request import takes
from minilm.comparison.student.compare import StudentVerdict, compare_student
from minilm.comparison.student.contract import make_template
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import student_lines
from minilm.trace.json import as_json, dumps

__all__ = [
    "ReferenceRequest",
    "TemplateRequest",
    "check_seconds",
    "print_verdict",
    "reference",
    "seconds_option",
    "template",
]

seconds_option = click.option(
    "--seconds", default=60.0, show_default=True, help="How long a student's file may run."
)


@dataclass(frozen=True, kw_only=True)
class TemplateRequest:
    """The options of `minilm compare template`.

    Attributes:
        framework: numpy, torch or tensorflow.
    """

    framework: str


@click.command(
    epilog="Example: minilm compare template torch\n\n\b\n"
    "In Python: from minilm.comparison.student.contract import make_template; make_template('torch')"
)
@click.argument("framework")
@takes(TemplateRequest)
def template(request: TemplateRequest) -> None:
    """Print a student's file to begin with.

    FRAMEWORK is numpy, torch or tensorflow. Its LSTM equals the reference.
    """
    click.echo(make_template(request.framework), nl=False)


@dataclass(frozen=True, kw_only=True)
class ReferenceRequest:
    """The options of `minilm compare reference`.

    Attributes:
        files: The student's file, exactly one.
        seconds: How long it may run.
        as_lines: Print a JSON line instead of sentences.
    """

    files: tuple[str, ...]
    seconds: float
    as_lines: bool


@click.command(
    epilog="Example: minilm compare reference my_lstm.py\n\n\b\n"
    "In Python: from minilm.comparison import compare_student; compare_student('my_lstm.py')"
)
@click.argument("files", nargs=-1, metavar="FILE.py")
@seconds_option
@click.option("--json", "as_lines", is_flag=True, help="Print a JSON line instead of sentences.")
@takes(ReferenceRequest)
def reference(request: ReferenceRequest) -> None:
    """Compare a student's LSTM with the reference.

    Finds the first difference and names the mistake. The LSTM may be in NumPy, PyTorch or TensorFlow. The
    file runs in a process of its own with a time limit. That is no sandbox: run no file that you do not
    trust. Exit code 1 where it differs.
    """
    if len(request.files) != 1 or request.files[0] == "reference":
        files = " ".join(request.files) or "none"
        raise MinilmError(f"compare reference takes one file, as in reference my_lstm.py; got {files}")
    check_seconds(request.seconds)
    print_verdict(compare_student(request.files[0], request.seconds), request.as_lines)


def check_seconds(seconds: float) -> None:
    """Refuse a time limit that is no time.

    Args:
        seconds: the value of --seconds.
    """
    if not seconds > 0:
        raise MinilmError(f"--seconds must be above 0, got {seconds}")


def print_verdict(verdict: StudentVerdict, as_lines: bool) -> None:
    """Print a verdict, and leave with exit code 1 where the two differ.

    Args:
        verdict: the result of a comparison.
        as_lines: print a JSON line instead of sentences.
    """
    if as_lines:
        fields = {**as_json(verdict), "equal": verdict.equal, "sentence": verdict.sentence}
        click.echo(dumps({"student": fields}))
    else:
        console.write(student_lines(verdict), sys.stdout)
    click.get_current_context().exit(0 if verdict.equal else 1)
