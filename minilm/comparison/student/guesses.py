"""Named guesses at what is wrong with a student's LSTM; one is right when it makes the numbers equal.

Every guess is a change of the reference (lstm_variants.py). One change is tried before two at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from minilm.comparison.student.reference_cell import CELLS, LETTERS, Variant
from minilm.records import Array

__all__ = ["GUESSES", "Guess", "explain"]


@dataclass(frozen=True)
class Guess:
    """said: ends the sentence "equal to the reference if ..."; mend: what the student should do."""

    said: str
    mend: str
    changes: Mapping[str, Any]

    @property
    def variant(self) -> Variant:
        """The reference with these changes."""
        return Variant(**self.changes)

    def __and__(self, other: Guess) -> Guess:
        return Guess(
            f"{self.said} and {other.said}", f"{self.mend}; {other.mend}", {**self.changes, **other.changes}
        )


def _order(letters: tuple[str, ...]) -> Guess:
    read = ",".join(letters)
    return Guess(
        f"the gates are ordered {read}",
        f"the blocks of 4H are i,f,g,o; the code reads them as {read}",
        {"order": "".join(letters)},
    )


ORDERS = tuple(_order(letters) for letters in permutations(LETTERS) if "".join(letters) != LETTERS)

OTHERS = (
    Guess("its bias is left out", "add the bias to the four blocks", {"bias": 0.0}),
    Guess("its bias is added twice", "there is one bias: add it once", {"bias": 2.0}),
    Guess(
        "1 is added to its forget gate", "the bias holds the forget gate's 1: add none", {"forget_bias": 1.0}
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
        "the four gates of a unit stand side by side",
        "split 4H into four blocks of H: reshape (4, H)",
        {"blocks": False},
    ),
    Guess("the cell is added to i, f and o", "leave the peephole out", {"peephole": True}),
    Guess("it reads backwards", "read the inputs from t=0 on", {"backwards": True}),
    Guess("its state starts at 1", "start with h and c at 0", {"start": 1.0}),
)

GUESSES: tuple[Guess, ...] = (*ORDERS, *OTHERS)


def _in_turn() -> Iterator[Guess]:
    yield from GUESSES
    for one, other in combinations(GUESSES, 2):
        if not set(one.changes) & set(other.changes):
            yield one & other


def explain(
    answer: Mapping[str, Array], model: Callable[[Variant], Mapping[str, Array]], tolerance: float
) -> Guess | None:
    """The first guess under which the model gives the answer's arrays, or None.

    model: a variant to its arrays, by the names of the answer's.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for guess in _in_turn():
            said = model(guess.variant)
            if all(np.abs(said[name] - array).max() <= tolerance for name, array in answer.items()):
                return guess
    return None
