"""Our side of the training figures: an LSTM of 128 units on batches of 32 x 64 made-up ids, not watched.

The plain loops of the frameworks are given the same batches.
"""

from __future__ import annotations

from minilm.backends import create
from minilm.bench.measure import Work
from minilm.dice import generator
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit

__all__ = ["DROPOUT", "VOCAB_SIZE", "batches", "train_model", "train_words"]

VOCAB_SIZE, DROPOUT = 512, 0.2


def _made_up() -> Batches:
    return Batches([generator(0, "bench").integers(4, VOCAB_SIZE, 100_000)], size=32, length=64)


def batches(steps: int) -> list[tuple[Array, Array]]:
    """So many (inputs, targets), each (B, T) int64, as our loop meets them."""
    made = [_made_up().batch(step) for step in range(steps)]
    return [(batch.inputs, batch.targets) for batch in made]


def train_words(backend: str, steps: int, dropout: float = 0) -> Work:
    """The work of so many training steps on a fresh model: E=64, H=128, not clipped, as the plain loops."""
    return train_model(create(backend, ModelConfig(VOCAB_SIZE, dropout=dropout)), steps)


def train_model(model: Trainable, steps: int) -> Work:
    """The work of so many training steps on this model, on the same batches."""
    made = _made_up()
    schedule = Schedule(1e-3, steps)
    return lambda: sum(step.loss for step in fit(model, made, schedule, clip=None))
