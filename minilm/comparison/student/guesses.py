"""Named guesses at what is wrong with a student's LSTM; a guess is right when it makes the numbers equal.

Every guess is a change of the reference (reference_cell.py); mistakes.md lists them. Single changes are tried
before pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import combinations, permutations

import numpy as np

from minilm.comparison.student.reference_cell import LETTERS, REFERENCE, Variant
from minilm.difference import largest_difference
from minilm.records import Array

__all__ = ["GUESSES", "Guess", "find_guess"]


@dataclass(frozen=True)
class Guess:
    """One mistake that a student may have made.

    Attributes:
        said: the end of the sentence "equal to the reference if ...".
        mend: how the student can fix it.
        changes: the fields of Variant that the mistake changes, with their values.
    """

    said: str
    mend: str
    changes: Mapping[str, str | float | bool]

    @property
    def variant(self) -> Variant:
        """The reference with these changes."""
        return replace(REFERENCE, **self.changes)

    def __and__(self, other: Guess) -> Guess:
        return Guess(
            f"{self.said} and {other.said}", f"{self.mend}; {other.mend}", {**self.changes, **other.changes}
        )


def _guess_order(letters: tuple[str, ...]) -> Guess:
    order = ",".join(letters)
    return Guess(
        f"the gates are ordered {order}",
        f"the blocks of 4H are i,f,g,o; the code reads them as {order}",
        {"order": "".join(letters)},
    )


ORDERS = tuple(_guess_order(letters) for letters in permutations(LETTERS) if "".join(letters) != LETTERS)


def _read_guesses() -> tuple[Guess, ...]:
    """Return the rows of mistakes.md; the first two lines of the table are its heading."""
    text = files("minilm.comparison.student").joinpath("mistakes.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    return tuple(Guess(said.strip(), fix.strip(), _parse_changes(changes)) for said, fix, changes in rows)


def _parse_changes(text: str) -> dict[str, str | float | bool]:
    """Return fields of Variant with values of their types.

    >>> _parse_changes("bias=0.0, blocks=False")
    {'bias': 0.0, 'blocks': False}
    """
    changes: dict[str, str | float | bool] = {}
    for change in text.strip().split(", "):
        name, _, value = change.partition("=")
        kind = type(getattr(REFERENCE, name))
        changes[name] = value == "True" if kind is bool else kind(value)
    return changes


OTHERS = _read_guesses()

GUESSES: tuple[Guess, ...] = (*ORDERS, *OTHERS)


def _list_guesses() -> Iterator[Guess]:
    """Yield every single guess, then every pair that changes different fields."""
    yield from GUESSES
    for one, other in combinations(GUESSES, 2):
        if not set(one.changes) & set(other.changes):
            yield one & other


def find_guess(
    answer: Mapping[str, Array], compute: Callable[[Variant], Mapping[str, Array]], tolerance: float
) -> Guess | None:
    """Return the first guess under which the reference gives the student's numbers, or None.

    Args:
        answer: the student's arrays by name.
        compute: returns the arrays of a variant, by the same names.
        tolerance: the largest difference that counts as equal.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for guess in _list_guesses():
            computed = compute(guess.variant)
            if all(largest_difference(array, computed[name]) <= tolerance for name, array in answer.items()):
                return guess
    return None
