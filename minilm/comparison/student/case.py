"""The small case on which a student's LSTM is tried: weights, inputs, and the reference's answer.

Every function is pure and has no arguments from outside, so the student's process and ours see the same
numbers. E and H differ, so a kernel that is transposed by mistake fails instead of fitting by chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilm.comparison.student.reference_cell import REFERENCE, Variant, Weights, run_cell
from minilm.dice import generator
from minilm.records import Array, ModelConfig
from minilm.weights import shapes

__all__ = ["CONFIG", "make_ids", "make_inputs", "make_layer", "make_weights", "run_case", "run_model"]

CONFIG = ModelConfig(vocab_size=7, embedding_size=3, hidden_size=4)

STEPS = 6


def make_weights() -> dict[str, Array]:
    """Return canonical arrays in float64; no bias is 0, so a bias that is left out shows."""
    return {
        name: generator(0, "student", number).uniform(-1.2, 1.2, shape)
        for number, (name, shape) in enumerate(shapes(CONFIG).items())
    }


def make_ids() -> Array:
    """Return the ids (T,) that a language model reads; one of them is repeated."""
    return np.array([5, 1, 6, 1, 3, 2])


def make_inputs() -> Array:
    """Return the inputs (T, E) that a layer reads: the embeddings of the ids."""
    return make_weights()["embedding"][make_ids()]


def make_layer() -> Weights:
    """Return the kernel (E, 4H), the recurrent kernel (H, 4H) and the bias (4H,)."""
    arrays = make_weights()
    return arrays["lstm.0.kernel"], arrays["lstm.0.recurrent"], arrays["lstm.0.bias"]


def run_case(variant: Variant = REFERENCE) -> dict[str, Array]:
    """Return what a variant of the reference computes: i, f, g, o, cell and hidden (T, H), logits (T, V)."""
    return run_model(make_weights(), make_ids(), variant)


def run_model(arrays: Mapping[str, Array], ids: Array, variant: Variant = REFERENCE) -> dict[str, Array]:
    """Return what a variant computes with other weights and ids.

    Args:
        arrays: canonical arrays of a model with one LSTM layer.
        ids: the ids to read, (T,).
        variant: the reference, or one changed version of it.

    Returns:
        The same names as run_case.
    """
    exact = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    layer = exact["lstm.0.kernel"], exact["lstm.0.recurrent"], exact["lstm.0.bias"]
    computed = run_cell(exact["embedding"][ids], layer, variant)
    # logits_t = h_t W + b
    return computed | {"logits": computed["hidden"] @ exact["head.kernel"] + exact["head.bias"]}
