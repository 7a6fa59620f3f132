"""Compare a student's LSTM with the reference: the first difference, and the guess that explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.contract import Answers
from minilm.comparison.student.guesses import Guess, find_guess
from minilm.comparison.student.observe import find_half_precision, find_randomness
from minilm.comparison.student.run_file import run_file
from minilm.comparison.student.variant import LETTERS, REFERENCE, Variant
from minilm.difference import largest_difference, measure_difference
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

_SHOWN = ("cell", "hidden", "logits")

# What the sentence says of a run that is not the usual one.
_PLACES = {case.LARGE.name: "with larger weights", "rows": "with two rows in one call"}


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """The first input, and there the first quantity, that differs.

    Attributes:
        t: the input, from 0.
        quantity: the name of the quantity, a value of QUANTITIES.
        apart: the largest absolute difference of the quantity at t.
        row: the row of the batch, from 0.
        where: the run in which it was found, such as "with larger weights"; "" for the usual one.
    """

    t: int
    quantity: str
    apart: float
    row: int = 0
    where: str = ""

    def __str__(self) -> str:
        row = f" of row {self.row}" if self.row else ""
        where = f" {self.where}" if self.where else ""
        return f"first difference{where} at t={self.t}{row}, {self.quantity}, {self.apart:.2g}"


@dataclass(frozen=True, slots=True)
class StudentVerdict:
    """The result of a comparison with the reference.

    Attributes:
        compared: the quantities that were compared.
        steps: how many inputs were read.
        tolerance: the largest difference that counts as equal, times max(1, largest number).
        first: the first difference, or None where everything is equal.
        guess: the mistake that explains the difference, or None where no known one does.
        reference: the name of the reference in a sentence.
        function: the function of the file that differs; "" where the file has only one.
        functions: the functions of the file that were run.
        not_run: what was not run or not compared, and why.
    """

    compared: tuple[str, ...]
    steps: int
    tolerance: float
    first: FirstDifference | None
    guess: Guess | None
    reference: str = "the reference"
    function: str = ""
    functions: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()

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
        found = f"{self.function}: {self.first}" if self.function else str(self.first)
        if self.guess is None:
            return found
        # A mistake that is seen without a changed reference promises no equality.
        promise = f"equal to {self.reference} if " if self.guess.changes else ""
        return f"{found}; {promise}{self.guess.said}"


def compare_student(file: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Run a student's file on the cases and find where it first differs from the reference, and why.

    Args:
        file: a Python file with one or more of the functions that contract.py names; all are compared.
        seconds: how long it may run.

    Raises:
        MinilmError: with one line, where the file cannot be read, fails, takes too long, or answers in
            another shape.
    """
    found = run_file(file, seconds)
    shown = {name for answers in found.values() for name in answers.cases[case.USUAL.name]}
    judged = {name: _judge(name, answers) for name, answers in found.items()}
    wrong = next((name for name, (first, _) in judged.items() if first is not None), None)
    first, guess = judged[wrong] if wrong else (None, None)
    several = len(found) > 1
    notes = [
        f"{name}: {note}" if several and not note.startswith(("the file", "lstm", "make")) else note
        for name, answers in found.items()
        for note in answers.notes
    ]
    return StudentVerdict(
        tuple(QUANTITIES[name] for name in _SHOWN if name in shown),
        case.STEPS,
        TOLERANCE,
        first,
        guess,
        function=wrong if wrong and several else "",
        functions=tuple(found),
        not_run=tuple(notes),
    )


def _judge(function: str, answers: Answers) -> tuple[FirstDifference | None, Guess | None]:
    """Return the first difference of one function, and the guess that explains it."""
    usual = answers.cases[case.USUAL.name]
    random = find_randomness(answers, TOLERANCE)
    if random is not None:
        guess, second = random
        first = find_first_difference(second, usual)
        return first and replace(first, where=guess.where), guess.guess
    first = _find_first_of_cases(answers.cases)
    if first is None:
        return None, None
    guess = find_half_precision(usual, case.run_case()) or find_guess(_Fits(answers.cases), function)
    # A guess that fits gives the student's gates too, even where the file does not show them.
    if guess is not None and guess.changes:
        gates = {one.name: case.run_case(guess.variant, one) for one in case.CASES}
    else:
        gates = {case.USUAL.name: {"f": usual["probed f"]}} if "probed f" in usual else {}
    shown = {name: gates.get(name, {}) | arrays for name, arrays in answers.cases.items()}
    return _find_first_of_cases(shown) or first, guess


def _find_case(name: str) -> case.Case:
    return case.LARGE if name == case.LARGE.name else case.USUAL


def _find_first_of_cases(cases: Mapping[str, Mapping[str, Array]]) -> FirstDifference | None:
    for name, arrays in cases.items():
        reference = case.run_case(case=_find_case(name))
        first = find_first_difference(arrays, reference)
        if first is not None:
            return replace(first, where=_PLACES.get(name, ""))
    return None


class _Fits:
    """Answers if a changed reference gives the numbers of a student in every case."""

    def __init__(self, cases: Mapping[str, Mapping[str, Array]]) -> None:
        self._cases = cases

    def __call__(self, variant: Variant) -> bool:
        if not self._fits_beginning(variant):
            return False
        computed: dict[str, Mapping[str, Array]] = {}
        for name, arrays in self._cases.items():
            one = _find_case(name)
            if one.name not in computed:
                computed[one.name] = case.run_case(variant, one)
            for quantity in (*_SHOWN, *LETTERS):
                if quantity in arrays and not _is_equal(arrays[quantity], computed[one.name][quantity]):
                    return False
        return True

    def _fits_beginning(self, variant: Variant) -> bool:
        # The first outputs of these follow from later inputs, or from other rows.
        if variant.backwards or variant.flipped or variant.rows != REFERENCE.rows:
            return True
        computed = case.run_case(variant, case.SHORT)
        usual, steps = self._cases[case.USUAL.name], len(case.SHORT.ids[0])
        shown = [name for name in _SHOWN if name in usual]
        return all(_is_equal(usual[name][:, :steps], computed[name]) for name in shown)


def _is_equal(array: Array, reference: Array, tolerance: float = TOLERANCE) -> bool:
    return measure_difference(array, reference).scaled <= tolerance


def compare_files(one: str | Path, other: str | Path, seconds: float = 60.0) -> StudentVerdict:
    """Compare two students' files: find the first quantity that both show and that differs.

    Args:
        one: the file that counts as the reference.
        other: the other file.
        seconds: how long each may run.
    """
    left, right = run_file(one, seconds), run_file(other, seconds)
    shared = [name for name in left if name in right]
    if not shared:
        raise MinilmError(
            f"{Path(one).name} defines {', '.join(left)} and {Path(other).name} {', '.join(right)}; "
            "let both define the same function"
        )
    first, wrong, shown = None, "", set[str]()
    for function in shared:
        for name in left[function].cases.keys() & right[function].cases.keys():
            one_case, other_case = left[function].cases[name], right[function].cases[name]
            shown |= one_case.keys() & other_case.keys()
            found = find_first_difference(other_case, one_case)
            if found is not None and (first is None or name == case.USUAL.name):
                first, wrong = found, function if len(shared) > 1 else ""
        if first is not None:
            break
    compared = tuple(QUANTITIES[name] for name in _SHOWN if name in shown)
    return StudentVerdict(compared, case.STEPS, TOLERANCE, first, None, Path(one).name, wrong, tuple(shared))


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
    first, guess = find_first_difference(right, left, bound, scaled=False), None
    arrays: Any = getattr(reference, "weights", dict)()
    # The guesses know one LSTM layer, so only such a reference can be tried with them.
    if first is not None and "lstm.0.kernel" in arrays and "lstm.1.kernel" not in arrays:

        def fits(variant: Variant) -> bool:
            computed = case.run_model(arrays, read[None], variant)["logits"]
            return largest_difference(right["logits"], computed) <= bound

        guess = find_guess(fits)
        if guess is not None:
            changed = case.run_model(arrays, read[None], guess.variant)
            first = find_first_difference(changed, left, bound, scaled=False) or first
    return StudentVerdict(compared, len(read), bound, first, guess, reference.name)


def _read_quantities(model: LanguageModel, ids: Array) -> dict[str, Array]:
    """Return the logits (1, T, V) of a model.

    Where it shows them, i, f, g, o, cell and hidden (1, T, H) of its first layer are there too.
    """
    try:
        reading = model.read(ids, rows="all", inner=INNER)
    # A wrapped net shows nothing inside.
    except MinilmError:
        return {"logits": np.asarray(model.read(ids, rows="all").logits, np.float64)[None]}
    gates, cell, hidden = (np.asarray(reading.inner[name], np.float64)[None] for name in INNER)
    parts = dict(zip(LETTERS, np.split(gates, 4, axis=-1), strict=True))
    return parts | {"cell": cell, "hidden": hidden, "logits": np.asarray(reading.logits, np.float64)[None]}


def find_first_difference(
    answer: Mapping[str, Array],
    reference: Mapping[str, Array],
    tolerance: float = TOLERANCE,
    *,
    scaled: bool = True,
) -> FirstDifference | None:
    """Return the first row, there the first t, and there the first of QUANTITIES, that differs, or None.

    Args:
        answer: arrays (B, T, ...) by the names of QUANTITIES.
        reference: the same of the reference; a name that only one of them has is not compared.
        tolerance: the largest difference that counts as equal.
        scaled: multiply the tolerance by max(1, largest number of the quantity).
    """
    names = [name for name in QUANTITIES if name in answer and name in reference]
    bounds = {
        name: tolerance * (max(1.0, float(np.abs(reference[name]).max(initial=0))) if scaled else 1.0)
        for name in names
    }
    rows, steps = answer[names[0]].shape[:2] if names else (0, 0)
    for row in range(rows):
        for t in range(steps):
            for name in names:
                difference = largest_difference(answer[name][row, t], reference[name][row, t])
                # Written with `not`, so that NaN counts as a difference.
                if not difference <= bounds[name]:
                    return FirstDifference(t, QUANTITIES[name], difference, row)
    return None
