"""minilm compare reference FILE.py: a student's LSTM, and where it first parts from the reference."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from minilm.comparison.student import StudentVerdict, compare_files, compare_student
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.student import student_lines
from minilm.generation.trace import dumps

__all__ = ["run"]


def run(subjects: Sequence[str], seconds: float, as_lines: bool) -> bool:
    """Print the verdict on two subjects, "reference" or files; whether they are equal."""
    if len(subjects) != 2 or subjects[1] == "reference":
        raise MinilmError(f"compare takes: reference FILE.py, or two files; got {' '.join(subjects)}")
    if not seconds > 0:
        raise MinilmError(f"--seconds must be above 0, got {seconds}")
    first, second = subjects
    verdict = (
        compare_student(second, seconds) if first == "reference" else compare_files(first, second, seconds)
    )
    if as_lines:
        click.echo(dumps({"student": _fields(verdict)}))
    else:
        console.write(student_lines(verdict), sys.stdout)
    return verdict.equal


def _fields(verdict: StudentVerdict) -> dict[str, object]:
    return {**asdict(verdict), "equal": verdict.equal, "sentence": verdict.sentence}
