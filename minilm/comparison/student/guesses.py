"""Named guesses at what is wrong with a student's LSTM; a guess is right when it makes the numbers equal.

Every guess is a change of the reference (reference_cell.py). Single changes are tried before pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np

from minilm.comparison.student.reference_cell import CELLS, LETTERS, REFERENCE, Variant
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

OTHERS = (
    Guess("its bias is left out", "add the bias to the four blocks", {"bias": 0.0}),
    Guess("its bias is added twice", "there is one bias: add it once", {"bias": 2.0}),
    Guess(
        "1 is added to its forget gate",
        "the bias already contains the forget gate's 1: add none",
        {"forget_bias": 1.0},
    ),
    Guess("1 is taken from its forget gate", "use the bias as it is", {"forget_bias": -1.0}),
    Guess("g goes through sigmoid", "the candidate g goes through tanh", {"g": "sigmoid"}),
    Guess("g goes through nothing", "the candidate g goes through tanh", {"g": "none"}),
    Guess("g goes through relu", "the candidate g goes through tanh", {"g": "relu"}),
    Guess("o goes through tanh", "the output gate o goes through sigmoid", {"o": "tanh"}),
    Guess("o goes through nothing", "the output gate o goes through sigmoid", {"o": "none"}),
    Guess("i, f and o go through tanh", "the gates i, f and o go through sigmoid", {"gates": "tanh"}),
    Guess(
        "i, f and o go through the hard sigmoid",
        "use 1 / (1 + e^-z) for i, f and o",
        {"gates": "hard_sigmoid"},
    ),
    Guess("h is o * c", "h is o * tanh(c): the tanh is missing", {"output": "none"}),
    Guess("h is o * sigmoid(c)", "h is o * tanh(c)", {"output": "sigmoid"}),
    Guess("h reads the cell before its update", "h is o * tanh of the new cell", {"late": True}),
    *(
        Guess(f"the new cell is {formula}", "the new cell is f*c + i*g", {"cell": formula})
        for formula in list(CELLS)[1:]
    ),
    Guess("h is not carried on", "hand the last h to the next step", {"carried": "c"}),
    Guess("c is not carried on", "hand the last c to the next step", {"carried": "h"}),
    Guess("no state is carried on", "hand the last h and c to the next step", {"carried": ""}),
    Guess("it answers with c, h", "return h first, then c", {"swap": "answer"}),
    Guess("it answers with c, h at every step", "return h first, then c", {"swap": "step"}),
    Guess(
        "its recurrent blocks are transposed",
        "use h @ recurrent, not its transpose",
        {"recurrent": "transposed"},
    ),
    Guess(
        "its recurrent kernel is reshaped",
        "transpose the recurrent kernel (.T), no reshape",
        {"recurrent": "reshaped"},
    ),
    Guess("its kernel is reshaped", "transpose the kernel (.T), no reshape", {"kernel": "reshaped"}),
    Guess(
        "both of its kernels are reshaped",
        "transpose the kernels (.T), no reshape",
        {"kernel": "reshaped", "recurrent": "reshaped"},
    ),
    Guess(
        "the four gates of a unit are neighbours",
        "split 4H into four blocks of H: reshape (4, H)",
        {"blocks": False},
    ),
    Guess("the cell is added to i, f and o", "leave the peephole out", {"peephole": True}),
    Guess("it reads backwards", "read the inputs from t=0 on", {"backwards": True}),
    Guess("its state starts at 1", "start with h and c at 0", {"start": 1.0}),
)

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
