"""The small case that a student's LSTM is tried on: weights, inputs, and what the reference makes of them.

A pure function of nothing, so that the student's process and ours meet the same numbers. E and H differ, so
that a kernel taken the wrong way round is an error and no coincidence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilm.comparison.student.reference_cell import REFERENCE, Variant, Weights, run
from minilm.dice import generator
from minilm.records import Array, ModelConfig
from minilm.weights import shapes

__all__ = ["CONFIG", "ids", "inputs", "layer", "said", "said_by", "weights"]

CONFIG = ModelConfig(vocab_size=7, embedding_size=3, hidden_size=4)

STEPS = 6


def weights() -> dict[str, Array]:
    """Canonical arrays in float64, biases among them not 0: a left-out one must show."""
    return {
        name: generator(0, "student", number).uniform(-1.2, 1.2, shape)
        for number, (name, shape) in enumerate(shapes(CONFIG).items())
    }


def ids() -> Array:
    """What a language model reads, (T,), a repeated id among them."""
    return np.array([5, 1, 6, 1, 3, 2])


def inputs() -> Array:
    """What a layer reads, (T, E): the embeddings of the ids."""
    return weights()["embedding"][ids()]


def layer() -> Weights:
    """Kernel (E, 4H), recurrent (H, 4H) and bias (4H,)."""
    arrays = weights()
    return arrays["lstm.0.kernel"], arrays["lstm.0.recurrent"], arrays["lstm.0.bias"]


def said_by(variant: Variant = REFERENCE) -> dict[str, Array]:
    """What a variant makes of the case: i, f, g, o, cell and hidden (T, H), logits (T, V)."""
    return said(weights(), ids(), variant)


def said(arrays: Mapping[str, Array], read: Array, variant: Variant = REFERENCE) -> dict[str, Array]:
    """The same of any canonical arrays with one LSTM layer, and any ids (T,)."""
    whole = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    parts = whole["lstm.0.kernel"], whole["lstm.0.recurrent"], whole["lstm.0.bias"]
    found = run(whole["embedding"][read], parts, variant)
    return found | {"logits": found["hidden"] @ whole["head.kernel"] + whole["head.bias"]}
