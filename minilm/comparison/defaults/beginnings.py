"""The rows of the first weights: each array drawn as the other framework's default would draw it.

The neutral form is the canonical arrays (weights.py), whichever framework takes them.
"""

from __future__ import annotations

import numpy as np

from minilm.comparison.defaults.small_net import CONFIG, start
from minilm.dice import generator
from minilm.records import Array

__all__ = ["NAMES", "glorot", "observe", "orthogonal"]

NAMES = frozenset(["embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init"])


def observe(on: frozenset[str]) -> dict[str, Array]:
    """The first arrays by canonical name."""
    arrays, dice = start(), generator(1, "rows")
    bound = 1 / np.sqrt(CONFIG.hidden_size)
    if "embedding_init" in on:
        arrays["embedding"] = dice.uniform(-0.05, 0.05, arrays["embedding"].shape)
    if "kernel_init" in on:
        arrays["lstm.0.kernel"] = glorot(dice, arrays["lstm.0.kernel"].shape)
    if "recurrent_init" in on:
        arrays["lstm.0.recurrent"] = orthogonal(dice, arrays["lstm.0.recurrent"].shape)
    if "bias_init" in on:  # torch draws both of its biases
        arrays["lstm.0.bias"] = dice.uniform(-bound, bound, (2, 4 * CONFIG.hidden_size)).sum(axis=0)
    if "head_init" in on:
        arrays["head.kernel"] = glorot(dice, arrays["head.kernel"].shape)
        arrays["head.bias"] = dice.uniform(-bound, bound, arrays["head.bias"].shape)
    return {f"first {name}": array for name, array in arrays.items()}


def glorot(dice: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Glorot and Bengio (2010): U(-a, a), a = √(6 / (in + out)); Keras takes 4H for out."""
    bound = np.sqrt(6 / sum(shape))
    return dice.uniform(-bound, bound, shape)


def orthogonal(dice: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Saxe et al. (2014): rows of length 1, at right angles to one another."""
    square, upper = np.linalg.qr(dice.standard_normal(shape[::-1]))
    return (square * np.sign(np.diag(upper))).T
