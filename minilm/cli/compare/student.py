"""minilm compare reference FILE.py, or two models: where the second first parts from the first, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from minilm.cli.options.model import open_model
from minilm.comparison.student.compare import StudentVerdict, compare_files, compare_models, compare_student
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import student_lines
from minilm.trace.json import as_json, dumps

__all__ = ["run"]


def run(subjects: Sequence[str], options: dict[str, Any], as_lines: bool) -> int:
    """Print the verdict on two subjects ("reference", files, models); exit code 1 where they differ."""
    if len(subjects) != 2 or subjects[1] == "reference":
        raise MinilmError(
            f"compare takes: reference FILE.py, two files, or two models; got {' '.join(subjects)}"
        )
    if not options["seconds"] > 0:
        raise MinilmError(f"--seconds must be above 0, got {options['seconds']}")
    first, second = subjects
    verdict = _verdict(first, second, options)
    if as_lines:
        click.echo(dumps({"student": _fields(verdict)}))
    else:
        console.write(student_lines(verdict), sys.stdout)
    return 0 if verdict.equal else 1


def _verdict(first: str, second: str, options: dict[str, Any]) -> StudentVerdict:
    if first == "reference":
        return compare_student(second, options["seconds"])
    files = [subject.endswith(".py") for subject in (first, second)]
    if all(files):
        return compare_files(first, second, options["seconds"])
    if any(files):
        raise MinilmError(f"A file is compared with reference or with a file, got {first} and {second}")
    opened = [open_model(subject, dtype=options["dtype"]) for subject in (first, second)]
    ids = opened[0].codec.encode(options["prompt"], special=True)
    return compare_models(opened[0].model, opened[1].model, ids, options["tolerance"])


def _fields(verdict: StudentVerdict) -> dict[str, object]:
    return {**as_json(verdict), "equal": verdict.equal, "sentence": verdict.sentence}
