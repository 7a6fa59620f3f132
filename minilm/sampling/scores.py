"""The input of a sampling stage: the survivors with their scores, and the context of the token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["Context", "Scores", "float32", "largest", "places", "softmax32"]


# glibc gives large freed memory back to the system, and every step would fault the same pages in again: two
# thirds of the time of a step at V = 64,000. Once a large block has been freed it keeps up to twice that size
# (mallopt(3), M_MMAP_THRESHOLD). The block is never touched, so it takes no memory.
np.empty(1 << 24, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The survivors of the stages so far; every score is finite.

    Attributes:
        ids: (S,) ascending.
        values: (S,) float32, the score of each.
        cut: How near the stage that made them was to keeping others (see StageEffect.cut); None if it
            compared no numbers.
    """

    ids: Array
    values: Array
    cut: float | None = None

    __repr__ = one_line

    @classmethod
    def of(cls, logits: Array) -> Scores:
        """Return all tokens of a vector (V,) of logits, without those at -inf.

        Raises:
            MinilmError: A logit is NaN or +inf, or all are -inf.
        """
        values = float32(logits)
        # argmax takes NaN for the largest, so a NaN is seen here.
        if isfinite(largest(values)) and isfinite(values[values.argmin()]):
            return cls(np.arange(values.size), values)
        bad = np.flatnonzero(np.isnan(values) | (values == np.inf))
        if bad.size:
            raise MinilmError(
                f"{bad.size} of {values.size} logits are not finite, the first is {values[bad[0]]} at id "
                f"{bad[0]}; the model is damaged or diverged while training"
            )
        ids = np.flatnonzero(values > -np.inf)
        if not ids.size:
            raise MinilmError(f"All {values.size} logits are -inf, so no token can follow")
        return cls(ids, values[ids])

    def keep(self, mask: Array, cut: float | None = None) -> Scores:
        """Return the survivors where mask (S,) is true; cut: how near the stage was to keeping others."""
        where = mask.nonzero()[0]
        return Scores(self.ids[where], self.values[where], cut)

    def changed(self, where: Array, values: Array) -> Scores:
        """Return the same survivors with new scores at the places `where`."""
        new = self.values.copy()
        new[where] = values
        return Scores(self.ids, new)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The place in a text where a token is chosen.

    Attributes:
        ids: (n,) everything so far, the prompt included.
        prompt_length: How many of these ids were given.
        eos_ids: The ids that end a text.
        limit: The most tokens to generate; None without a limit.
    """

    ids: Array
    prompt_length: int = 0
    eos_ids: tuple[int, ...] = ()
    limit: int | None = None

    __repr__ = one_line

    @property
    def generated(self) -> int:
        """The number of tokens generated so far."""
        return len(self.ids) - self.prompt_length


def float32(values: Array) -> Array:
    """Return the numbers as float32; one beyond its range becomes infinite."""
    values = np.asarray(values)
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def places(scores: Scores, wanted: Array | Sequence[int]) -> Array:
    """Return the places among the survivors of those wanted ids that have survived.

    >>> places(Scores(np.array([1, 4, 6]), np.zeros(3, np.float32)), [4, 5]).tolist()
    [1]
    """
    ids, wanted = scores.ids, np.asarray(wanted, dtype=np.int64)
    if ids[-1] == ids.size - 1:
        # No id below the last is missing, so an id is its own place. As an unsigned number, -1 is beyond all.
        return wanted[wanted.view(np.uint64) < ids.size]
    found = ids.searchsorted(wanted)
    found[found == ids.size] = 0
    return found[ids[found] == wanted]


def largest(values: Array) -> Any:
    """Return the largest number, or NaN if there is one; argmax takes a third of the time of max.

    >>> float(largest(np.array([1.0, 3.0, 2.0])))
    3.0
    """
    return values[values.argmax()]


def softmax32(values: Array) -> Array:
    """Return probabilities in float32, as transformers computes them inside its truncations."""
    # p_i = e^(s_i - max s) / sum_j e^(s_j - max s)
    powers = np.exp(values - largest(values))
    return powers / np.add.reduce(powers)
