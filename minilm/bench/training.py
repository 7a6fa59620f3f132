"""Our side of the training figures: an LSTM of 128 units on batches of 32 x 64 made-up ids, not watched.

The plain loops of the frameworks are given the same batches.
"""

from __future__ import annotations

import numpy as np

from minilm.backends import create
from minilm.bench.measure import Work
from minilm.dice import generator
from minilm.records import Array, ModelConfig

__all__ = ["BATCH", "DROPOUT", "LENGTH", "VOCAB_SIZE", "batches", "train_words"]

VOCAB_SIZE, BATCH, LENGTH, DROPOUT = 512, 32, 64, 0.2


def batches(steps: int) -> list[tuple[Array, Array]]:
    """So many (inputs, targets), each (B, T) int64; the targets are the inputs moved on by one."""
    ids = generator(0, "bench").integers(4, VOCAB_SIZE, (steps, BATCH, LENGTH + 1))
    return [(np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])) for rows in ids]


def train_words(backend: str, steps: int, dropout: float = 0) -> Work:
    """The work of so many training steps on a fresh model: E=64, H=128."""
    model = create(backend, ModelConfig(VOCAB_SIZE, dropout=dropout))
    prepared, mask = batches(steps), np.ones((BATCH, LENGTH), np.float32)

    def work() -> float:
        total = 0.0
        for inputs, targets in prepared:
            gradients = model.gradients(inputs, targets, mask)
            model.update(gradients, 1e-3)
            total += gradients.loss
        return total

    return work
