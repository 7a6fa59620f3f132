"""A student's LSTM held against the reference: the first difference, and the guess that explains it.

The file runs in a process of its own with a time limit (student_worker.py says what that keeps off).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.guesses import Guess, explain
from minilm.comparison.student.reference_cell import LETTERS
from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import Array

__all__ = [
    "FirstDifference",
    "StudentVerdict",
    "answers_of",
    "compare_files",
    "compare_models",
    "compare_student",
    "first_difference",
]

TOLERANCE = 1e-5  # of numbers around 1: a float32 framework stays below it, every guess lies far above

QUANTITIES = {  # in the order of computation
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "cell": "cell",
    "hidden": "hidden state",
    "logits": "logits",
}


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """t: the first input, from 0, at which a quantity differs; apart: its largest difference there."""

    t: int
    quantity: str
    apart: float

    def __str__(self) -> str:
        return f"first difference at t={self.t}, {self.quantity}, {self.apart:.2g}"


@dataclass(frozen=True, slots=True)
class StudentVerdict:
    """What was compared; first is None where all is equal, guess where none explains the difference."""

    compared: tuple[str, ...]
    steps: int
    tolerance: float
    first: FirstDifference | None
    guess: Guess | None
    reference: str = "the reference"

    @property
    def equal(self) -> bool:
        """Whether no number is further than the tolerance from the reference's."""
        return self.first is None

    @property
    def sentence(self) -> str:
        """The verdict as one sentence, the same for every framework."""
        if self.first is None:
            what = " and ".join(part for part in (", ".join(self.compared[:-1]), self.compared[-1]) if part)
            return f"equal to {self.reference} at all {self.steps} steps: {what} within {self.tolerance:g}"
        if self.guess is None:
            return str(self.first)
        return f"{self.first}; equal to {self.reference} if {self.guess.said}"


def compare_student(file: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Run a student's file on the case and say where it first parts from the reference, and why.

    What the file may define is in student_contract.py. Raises MinilmError, one line, where it cannot be
    read, fails, takes longer than `seconds`, or answers in another shape.
    """
    answer = answers_of(file, seconds)
    probed = {"f": answer.pop("probed f")} if "probed f" in answer else {}
    shown = {name: array for name, array in answer.items() if name in ("hidden", "cell", "logits")}
    compared = tuple(QUANTITIES[name] for name in QUANTITIES if name in shown)
    reference = case.said_by()
    first = first_difference(answer, reference)
    if first is None:
        return StudentVerdict(compared, case.STEPS, TOLERANCE, None, None)
    guess = explain(shown, case.said_by, TOLERANCE)
    gates = probed if guess is None else case.said_by(guess.variant)  # of the student, though it shows none
    first = first_difference(gates | answer, reference) or first
    return StudentVerdict(compared, case.STEPS, TOLERANCE, first, guess)


def compare_files(one: str | Path, other: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Two files held against each other: the first quantity that both show and that differs."""
    left, right = answers_of(one, seconds), answers_of(other, seconds)
    shared = {name: array for name, array in right.items() if name in left and name in QUANTITIES}
    if not shared:
        raise MinilmError(
            f"{Path(one).name} shows {', '.join(left)} and {Path(other).name} {', '.join(right)}; "
            "let both define the same function"
        )
    compared = tuple(QUANTITIES[name] for name in ("cell", "hidden", "logits") if name in shared)
    return StudentVerdict(
        compared, case.STEPS, TOLERANCE, first_difference(shared, left), None, Path(one).name
    )


def first_difference(
    answer: Mapping[str, Array], reference: Mapping[str, Array], tolerance: float = TOLERANCE
) -> FirstDifference | None:
    """The first t of two answers (T, ...), and there the first of QUANTITIES, that differs; or None."""
    names = [name for name in QUANTITIES if name in answer and name in reference]
    for t in range(min((len(answer[name]) for name in names), default=0)):
        for name in names:
            apart = float(np.abs(answer[name][t] - reference[name][t]).max())
            if not apart <= tolerance:  # NaN is apart too
                return FirstDifference(t, QUANTITIES[name], apart)
    return None


def answers_of(file: str | Path, seconds: float) -> dict[str, Array]:
    """What a student's file makes of the case, by the names of student_case.said_by, in float64."""
    path = Path(file).resolve()
    if not path.is_file():
        raise MinilmError(f"There is no file {file}; write one from minilm compare --template numpy")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        answer, words = Path(folder, "answer.json"), Path(folder, "words.txt")
        command = [sys.executable, "-P", "-m", "minilm.comparison.student.worker", str(path), str(answer)]
        with words.open("wb") as output:
            try:
                done = subprocess.run(
                    command,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **quiet},
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise MinilmError(
                    f"{path.name} was still running after {seconds:g} s; look for an endless loop"
                ) from None
        if not answer.exists():
            last = words.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise MinilmError(
                f"{path.name} ended without an answer (exit code {done.returncode}) {''.join(last)}"
            )
        said = json.loads(answer.read_text("utf-8"))
    if "error" in said:
        raise MinilmError(f"{path.name}: {said['error']}")
    return {name: np.array(rows) for name, rows in said["arrays"].items()}


INNER = ("gates.0", "cell.0", "hidden.0")


def compare_models(
    reference: LanguageModel, other: LanguageModel, ids: Sequence[int] | Array, tolerance: float = 1e-5
) -> StudentVerdict:
    """The first id at which two models differ, and in what; ids (T,), tolerance of max(1, largest logit).

    Raises MinilmError where their vocabularies differ in size, or either cannot read the ids.
    """
    if reference.vocab_size != other.vocab_size:
        sizes = f"{reference.vocab_size} and {other.vocab_size}"
        raise MinilmError(f"Models of one vocabulary can be compared, got sizes {sizes}")
    read = np.asarray(ids)
    ours, theirs = _answer(reference, read), _answer(other, read)
    shared = [name for name in QUANTITIES if name in ours and name in theirs]
    bound = tolerance * max(1.0, float(np.abs(ours["logits"]).max()))
    first = first_difference(theirs, ours, bound)
    compared = tuple(QUANTITIES[name] for name in shared)
    guess = None
    arrays: Any = getattr(reference, "weights", dict)()
    if first is not None and "lstm.0.kernel" in arrays and "lstm.1.kernel" not in arrays:
        logits = {"logits": theirs["logits"]}
        guess = explain(logits, lambda variant: case.said(arrays, read, variant), bound)
        if guess is not None:
            first = first_difference(case.said(arrays, read, guess.variant), ours, bound) or first
    return StudentVerdict(compared, len(read), bound, first, guess, reference.name)


def _answer(model: LanguageModel, ids: Array) -> dict[str, Array]:
    """Logits (T, V), and of the first layer i, f, g, o, cell and hidden (T, H) where the model shows them."""
    try:
        reading = model.read(ids, rows="all", inner=INNER)
    except MinilmError:  # a wrapped net shows nothing inside
        return {"logits": np.asarray(model.read(ids, rows="all").logits, np.float64)}
    gates, cell, hidden = (np.asarray(reading.inner[name], np.float64) for name in INNER)
    parts = dict(zip(LETTERS, np.split(gates, 4, axis=1), strict=True))
    return parts | {"cell": cell, "hidden": hidden, "logits": np.asarray(reading.logits, np.float64)}
