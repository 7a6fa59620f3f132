"""Named guesses at what is wrong with a student's LSTM; a guess is right when it makes the numbers equal.

Every guess is a change of the reference (variant.py); mistakes.md lists them. Single changes are tried before
pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import combinations, permutations

import numpy as np

from minilm.comparison.student.variant import LETTERS, REFERENCE, Variant

__all__ = ["GUESSES", "Guess", "find_guess", "guesses_for"]


@dataclass(frozen=True)
class Guess:
    """One mistake that a student may have made.

    Attributes:
        said: the end of the sentence "equal to the reference if ..."; without changes, a whole sentence.
        mend: how the student can fix it.
        changes: the fields of Variant that the mistake changes, with their values; empty for a mistake that
            is seen without them, such as numbers of float16.
        functions: the functions of the contract in which it is possible; empty means all.
    """

    said: str
    mend: str
    changes: Mapping[str, str | float | bool]
    functions: tuple[str, ...] = ()

    @property
    def variant(self) -> Variant:
        """The reference with these changes."""
        return replace(REFERENCE, **self.changes)

    def __and__(self, other: Guess) -> Guess:
        return Guess(
            f"{self.said} and {other.said}", f"{self.mend}; {other.mend}", {**self.changes, **other.changes}
        )


def _guess_orders() -> Iterator[Guess]:
    """Yield the 23 wrong orders of the gates."""
    for letters in permutations(LETTERS):
        if "".join(letters) != LETTERS:
            order = ",".join(letters)
            fix = f"the blocks of 4H are i,f,g,o; the code reads them as {order}"
            yield Guess(f"the gates are ordered {order}", fix, {"order": "".join(letters)})


_PARTS = {
    "kernel": "of the kernel",
    "recurrent": "of the recurrent kernel",
    "bias": "of the bias",
    "kernels": "of both kernels, but not of the bias,",
}


def _guess_blocks() -> Iterator[Guess]:
    """Yield the mistakes of single blocks: read twice, left out, or in another order in some arrays."""
    for to, source in permutations(LETTERS, 2):
        for part, where in (("all", ""), *_PARTS.items()):
            if part != "kernels":
                blocks = f"the block of {source} {where}".rstrip()
                fix = f"use the block of {to} {where}".rstrip()
                changes = {"copied": f"{to}<{source}", "copied_part": part}
                yield Guess(f"{to} is computed with {blocks}", fix, changes)
    for letter in LETTERS:
        for part in ("kernel", "recurrent", "bias"):
            what = {"kernel": "x @ kernel", "recurrent": "h @ recurrent", "bias": "the bias"}[part]
            said = f"{what} is missing in {letter}"
            yield Guess(said, f"add {what} in all four gates", {"without": f"{part} {letter}"})
    for letters in permutations(LETTERS):
        order = ",".join(letters)
        for part, where in _PARTS.items():
            if "".join(letters) != LETTERS:
                said = f"the blocks {where} are ordered {order}".replace(",,", ",")
                changes = {"order": "".join(letters), "ordered": part}
                yield Guess(said, "the blocks of all arrays are i,f,g,o", changes)


def _read_guesses() -> tuple[Guess, ...]:
    """Return the rows of mistakes.md; the first two lines of the table are its heading."""
    text = files("minilm.comparison.student").joinpath("mistakes.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    return tuple(
        Guess(said.strip(), fix.strip(), _parse_changes(changes), tuple(functions.split()))
        for said, fix, functions, changes in rows
    )


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


ORDERS = tuple(_guess_orders())

OTHERS = _read_guesses()

BLOCKS = tuple(_guess_blocks())

GUESSES: tuple[Guess, ...] = (*ORDERS, *OTHERS, *BLOCKS)


def guesses_for(function: str, guesses: Sequence[Guess] = GUESSES) -> list[Guess]:
    """Return the guesses that are possible in a function of the contract.

    Args:
        function: one of contract.CONTRACT.
        guesses: where to look.
    """
    return [guess for guess in guesses if not guess.functions or function in guess.functions]


def _list_guesses(function: str) -> Iterator[Guess]:
    """Yield every single guess, then every pair that changes different fields."""
    yield from guesses_for(function)
    for one, other in combinations(guesses_for(function, (*ORDERS, *OTHERS)), 2):
        if not set(one.changes) & set(other.changes):
            yield one & other


def find_guess(fits: Callable[[Variant], bool], function: str = "make_model") -> Guess | None:
    """Return the first guess that gives the student's numbers, or None.

    Args:
        fits: answers if the reference, changed like this, gives the student's numbers.
        function: the function of the contract that the student wrote.
    """
    # A changed reference may overflow; then it does not fit.
    with np.errstate(all="ignore"):
        return next((guess for guess in _list_guesses(function) if fits(guess.variant)), None)
