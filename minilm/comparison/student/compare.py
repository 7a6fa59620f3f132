"""Compare a student's LSTM with the reference: the first difference, and the guess that explains it.

The file runs in a process of its own with a time limit (worker.py says what that keeps away).
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
from minilm.comparison.student.guesses import Guess, find_guess
from minilm.comparison.student.reference_cell import LETTERS
from minilm.difference import largest_difference
from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import Array

__all__ = [
    "FirstDifference",
    "StudentVerdict",
    "compare_files",
    "compare_models",
    "compare_student",
    "find_first_difference",
    "run_file",
]

# For numbers around 1: a float32 framework stays below it, and every guess changes much more.
TOLERANCE = 1e-5

# In the order of computation.
QUANTITIES = {
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
    """The first input, and there the first quantity, that differs.

    Attributes:
        t: the input, from 0.
        quantity: the name of the quantity, a value of QUANTITIES.
        apart: the largest absolute difference of the quantity at t.
    """

    t: int
    quantity: str
    apart: float

    def __str__(self) -> str:
        return f"first difference at t={self.t}, {self.quantity}, {self.apart:.2g}"


@dataclass(frozen=True, slots=True)
class StudentVerdict:
    """The result of a comparison with the reference.

    Attributes:
        compared: the quantities that were compared.
        steps: how many inputs were read.
        tolerance: the largest difference that counts as equal.
        first: the first difference, or None where everything is equal.
        guess: the mistake that explains the difference, or None where no known one does.
        reference: the name of the reference in a sentence.
    """

    compared: tuple[str, ...]
    steps: int
    tolerance: float
    first: FirstDifference | None
    guess: Guess | None
    reference: str = "the reference"

    @property
    def equal(self) -> bool:
        """True where no difference is past the tolerance."""
        return self.first is None

    @property
    def sentence(self) -> str:
        """The verdict as one sentence, the same for every framework."""
        if self.first is None:
            names = " and ".join(part for part in (", ".join(self.compared[:-1]), self.compared[-1]) if part)
            return f"equal to {self.reference} at all {self.steps} steps: {names} within {self.tolerance:g}"
        if self.guess is None:
            return str(self.first)
        return f"{self.first}; equal to {self.reference} if {self.guess.said}"


def compare_student(file: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Run a student's file on the case and find where it first differs from the reference, and why.

    Args:
        file: a Python file with one of the functions that contract.py names.
        seconds: how long it may run.

    Raises:
        MinilmError: with one line, where the file cannot be read, fails, takes too long, or answers in
            another shape.
    """
    answer = run_file(file, seconds)
    probed = {"f": answer.pop("probed f")} if "probed f" in answer else {}
    shown = {name: array for name, array in answer.items() if name in ("hidden", "cell", "logits")}
    compared = tuple(QUANTITIES[name] for name in QUANTITIES if name in shown)
    reference = case.run_case()
    first = find_first_difference(answer, reference)
    if first is None:
        return StudentVerdict(compared, case.STEPS, TOLERANCE, None, None)
    guess = find_guess(shown, case.run_case, TOLERANCE)
    # A guess that fits gives the student's gates too, even where the file does not show them.
    gates = probed if guess is None else case.run_case(guess.variant)
    first = find_first_difference(gates | answer, reference) or first
    return StudentVerdict(compared, case.STEPS, TOLERANCE, first, guess)


def compare_files(one: str | Path, other: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Compare two students' files: find the first quantity that both show and that differs.

    Args:
        one: the file that counts as the reference.
        other: the other file.
        seconds: how long each may run.
    """
    left, right = run_file(one, seconds), run_file(other, seconds)
    shared = {name: array for name, array in right.items() if name in left and name in QUANTITIES}
    if not shared:
        raise MinilmError(
            f"{Path(one).name} shows {', '.join(left)} and {Path(other).name} {', '.join(right)}; "
            "let both define the same function"
        )
    compared = tuple(QUANTITIES[name] for name in ("cell", "hidden", "logits") if name in shared)
    first = find_first_difference(shared, left)
    return StudentVerdict(compared, case.STEPS, TOLERANCE, first, None, Path(one).name)


INNER = ("gates.0", "cell.0", "hidden.0")


def compare_models(
    reference: LanguageModel, other: LanguageModel, ids: Sequence[int] | Array, tolerance: float = 1e-5
) -> StudentVerdict:
    """Find the first id at which two models differ, and the quantity.

    Args:
        reference: the model that counts as right.
        other: a model of the same vocabulary.
        ids: the ids to read, (T,).
        tolerance: the largest difference that counts as equal, times max(1, largest logit).

    Raises:
        MinilmError: where the vocabularies differ in size, or a model cannot read the ids.
    """
    if reference.vocab_size != other.vocab_size:
        sizes = f"{reference.vocab_size} and {other.vocab_size}"
        raise MinilmError(f"Models of one vocabulary can be compared, got sizes {sizes}")
    read = np.asarray(ids)
    left, right = _read_quantities(reference, read), _read_quantities(other, read)
    compared = tuple(QUANTITIES[name] for name in QUANTITIES if name in left and name in right)
    bound = tolerance * max(1.0, float(np.abs(left["logits"]).max()))
    first, guess = find_first_difference(right, left, bound), None
    arrays: Any = getattr(reference, "weights", dict)()
    # The guesses know one LSTM layer, so only such a reference can be tried with them.
    if first is not None and "lstm.0.kernel" in arrays and "lstm.1.kernel" not in arrays:
        logits = {"logits": right["logits"]}
        guess = find_guess(logits, lambda variant: case.run_model(arrays, read, variant), bound)
        if guess is not None:
            changed = case.run_model(arrays, read, guess.variant)
            first = find_first_difference(changed, left, bound) or first
    return StudentVerdict(compared, len(read), bound, first, guess, reference.name)


def _read_quantities(model: LanguageModel, ids: Array) -> dict[str, Array]:
    """Return the logits (T, V) of a model.

    Where it shows them, i, f, g, o, cell and hidden (T, H) of its first layer are there too.
    """
    try:
        reading = model.read(ids, rows="all", inner=INNER)
    # A wrapped net shows nothing inside.
    except MinilmError:
        return {"logits": np.asarray(model.read(ids, rows="all").logits, np.float64)}
    gates, cell, hidden = (np.asarray(reading.inner[name], np.float64) for name in INNER)
    parts = dict(zip(LETTERS, np.split(gates, 4, axis=1), strict=True))
    return parts | {"cell": cell, "hidden": hidden, "logits": np.asarray(reading.logits, np.float64)}


def find_first_difference(
    answer: Mapping[str, Array], reference: Mapping[str, Array], tolerance: float = TOLERANCE
) -> FirstDifference | None:
    """Return the first t, and there the first of QUANTITIES, at which two answers differ, or None.

    Args:
        answer: arrays (T, ...) by the names of QUANTITIES.
        reference: the same of the reference; a name that only one of them has is not compared.
        tolerance: the largest difference that counts as equal.
    """
    names = [name for name in QUANTITIES if name in answer and name in reference]
    for t in range(min((len(answer[name]) for name in names), default=0)):
        for name in names:
            difference = largest_difference(answer[name][t], reference[name][t])
            # Written with `not`, so that NaN counts as a difference.
            if not difference <= tolerance:
                return FirstDifference(t, QUANTITIES[name], difference)
    return None


def run_file(file: str | Path, seconds: float) -> dict[str, Array]:
    """Return what a student's file computes on the case, in float64, by the names of contract.call_student.

    Args:
        file: the Python file.
        seconds: how long it may run.
    """
    path = Path(file).resolve()
    if not path.is_file():
        raise MinilmError(f"There is no file {file}; write one from minilm compare --template numpy")
    with tempfile.TemporaryDirectory() as folder:
        answer, output = Path(folder, "answer.json"), Path(folder, "output.txt")
        code = _run_worker(path, answer, output, seconds)
        if not answer.exists():
            last = output.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise MinilmError(f"{path.name} ended without an answer (exit code {code}) {''.join(last)}")
        content = json.loads(answer.read_text("utf-8"))
    if "error" in content:
        raise MinilmError(f"{path.name}: {content['error']}")
    return {name: np.array(rows) for name, rows in content["arrays"].items()}


def _run_worker(file: Path, answer: Path, output: Path, seconds: float) -> int:
    """Run worker.py on a file and return its exit code."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "minilm.comparison.student.worker", str(file), str(answer)]
    with output.open("wb") as written:
        try:
            done = subprocess.run(
                command,
                stdout=written,
                stderr=written,
                env={**os.environ, **quiet},
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MinilmError(
                f"{file.name} was still running after {seconds:g} s; look for an endless loop"
            ) from None
    return done.returncode
