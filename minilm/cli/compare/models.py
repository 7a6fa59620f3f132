"""minilm compare A B: find the first quantity in which two models, or two students' files, differ."""

from __future__ import annotations

from dataclasses import dataclass

import click

from minilm.builtin import PROMPT
from minilm.cli.compare.student import check_seconds, print_verdict, seconds_option
from minilm.cli.options.model import open_with_notices
from minilm.cli.options.request import takes
from minilm.comparison.student.compare import StudentVerdict, compare_files, compare_models
from minilm.errors import MinilmError

__all__ = ["ModelsRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class ModelsRequest:
    """The options of `minilm compare models`.

    Attributes:
        subjects: Two model folders (or hf:PATH_OR_ID), or two Python files.
        seconds: How long a student's file may run.
        prompt: The text that two models read.
        dtype: The precision in which models are opened.
        tolerance: The largest difference of models that counts as equal, times max(1, largest logit).
        as_lines: Print a JSON line instead of sentences.
    """

    subjects: tuple[str, ...]
    seconds: float
    prompt: str
    dtype: str
    tolerance: float
    as_lines: bool


@click.command(
    epilog="Example: minilm compare models my_run/model my_other_run/model\n\n\b\n"
    "In Python: from minilm.comparison import compare_models; lm = minilm.open(); "
    "compare_models(lm.model, lm.model, [2, 5, 9])"
)
@click.argument("subjects", nargs=-1, metavar="A B")
@seconds_option
@click.option("--prompt", default=PROMPT, show_default=True, help="The text that two models read.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option(
    "--tolerance", default=1e-5, show_default=True, help="Of a difference, times max(1, largest logit)."
)
@click.option("--json", "as_lines", is_flag=True, help="Print a JSON line instead of sentences.")
@takes(ModelsRequest)
def command(request: ModelsRequest) -> None:
    """Compare two models, or two students' files.

    Finds the first quantity that differs. A model is a folder or hf:PATH_OR_ID; both read the same prompt. A
    file runs in a process of its own with a time limit, which is no sandbox. Exit code 1 where the two
    differ.
    """
    if len(request.subjects) != 2 or request.subjects[1] == "reference":
        raise MinilmError(
            f"compare takes: reference FILE.py, two files, or two models; got {' '.join(request.subjects)}"
        )
    check_seconds(request.seconds)
    print_verdict(_compare(request), request.as_lines)


def _compare(request: ModelsRequest) -> StudentVerdict:
    first, second = request.subjects
    files = [subject.endswith(".py") for subject in request.subjects]
    if all(files):
        return compare_files(first, second, request.seconds)
    if any(files):
        raise MinilmError(f"A file is compared with reference or with a file, got {first} and {second}")
    left, right = (open_with_notices(subject, dtype=request.dtype) for subject in request.subjects)
    ids = left.codec.encode(request.prompt, special=True)
    return compare_models(left.model, right.model, ids, request.tolerance)
