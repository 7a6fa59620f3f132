"""Toy data for the broken trainings: rows of ids in which each id usually decides the next one.

Id 0 is padding, id 1 begins every row, and the ids from 2 up are words. A step's rows depend on its number
alone, so every loop here trains on the same data, in PyTorch and in TensorFlow.
"""

import numpy as np

from minilm.dice import generator

BATCH, LENGTH, VOCAB_SIZE = 6, 10, 24
PAD, BOS, FIRST_WORD = 0, 1, 2


def toy_rows(step):
    """Return the ids (B, T+1) of one training step as int64.

    Each row begins with BOS, has 6 to 11 ids, and is filled up with PAD.

    Args:
        step: Number of the training step, from 0.
    """
    dice = generator(0, "museum", step)
    # follower[i - 2] is the word that usually comes after word i.
    follower = generator(0, "museum words").permutation(np.arange(FIRST_WORD, VOCAB_SIZE))
    rows = np.full((BATCH, LENGTH + 1), PAD)
    for row in rows:
        length = int(dice.integers(6, LENGTH + 2))
        row[0], row[1] = BOS, dice.integers(FIRST_WORD, VOCAB_SIZE)
        for t in range(2, length):
            usual = dice.random() < 0.8
            row[t] = follower[row[t - 1] - FIRST_WORD] if usual else dice.integers(FIRST_WORD, VOCAB_SIZE)
    return rows
