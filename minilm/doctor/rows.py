"""Made-up texts for the bug museum: rows of ids in which each id mostly says what the next one is.

Id 0 fills rows up, 1 begins them; the rest are words.
"""

from __future__ import annotations

import numpy as np

from minilm.dice import generator
from minilm.records import Array

__all__ = ["BATCH", "LENGTH", "PAD", "VOCAB_SIZE", "rows"]

BATCH, LENGTH, VOCAB_SIZE, PAD, BOS = 6, 10, 24, 0, 1


def rows(step: int) -> Array:
    """The rows of a step, (B, T+1) int64: begun with 1, of 6 to 11 ids, filled up with 0."""
    dice = generator(0, "museum", step)
    follower = generator(0, "museum words").permutation(np.arange(2, VOCAB_SIZE))
    found = np.full((BATCH, LENGTH + 1), PAD)
    for row in found:
        length = int(dice.integers(6, LENGTH + 2))
        row[0], row[1] = BOS, dice.integers(2, VOCAB_SIZE)
        for t in range(2, length):
            row[t] = follower[row[t - 1] - 2] if dice.random() < 0.8 else dice.integers(2, VOCAB_SIZE)
    return found
