"""The small cases on which a student's LSTM is tried: weights, inputs, and the reference's answer.

Every function is pure and has no arguments from outside, so the student's process and ours see the same
numbers. E and H differ, so a kernel that is transposed by mistake fails instead of fitting by chance. There
are two rows, so rows that are mixed show, and every id is read. In the second case the weights are larger:
gates close and open, and two cells count up and down by 1 at every step, so a clamp shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from minilm.comparison.student.layouts import Weights
from minilm.comparison.student.reference_cell import ACTIVATIONS, run_cell
from minilm.comparison.student.variant import REFERENCE, Variant
from minilm.dice import generator
from minilm.records import Array, ModelConfig
from minilm.weights import weight_shapes

__all__ = [
    "CASES",
    "CONFIG",
    "LARGE",
    "SHORT",
    "STEPS",
    "USUAL",
    "Case",
    "make_case_weights",
    "make_ids",
    "make_inputs",
    "make_layer",
    "run_case",
    "run_model",
]

CONFIG = ModelConfig(vocab_size=7, embedding_size=3, hidden_size=4)


@dataclass(frozen=True)
class Case:
    """Weights and ids.

    Attributes:
        name: "usual" or "large weights".
        ids: the ids of each row, (B, T) as tuples.
        scale: what the usual weights are multiplied by.
        climb: what is added to the sums of i, f and g, so that one cell counts up and one down.
    """

    name: str
    ids: tuple[tuple[int, ...], ...]
    scale: float = 1.0
    climb: float = 0.0


USUAL = Case("usual", ((5, 1, 6, 1, 3, 2), (0, 4, 2, 6, 0, 5)))
LARGE = Case(
    "large weights",
    ((2, 0, 4, 4, 1, 6, 3, 5, 0, 2, 1, 3), (6, 3, 5, 1, 0, 2, 2, 4, 5, 6, 0, 1)),
    scale=2.5,
    climb=12.0,
)
CASES = (USUAL, LARGE)

# The beginning of the usual case; most wrong guesses show in it, in a third of the time.
SHORT = Case(USUAL.name, tuple(row[:2] for row in USUAL.ids))

# How many inputs are read in all cases and rows.
STEPS = sum(len(row) for case in CASES for row in case.ids)


def make_case_weights(case: Case = USUAL) -> dict[str, Array]:
    """Return canonical arrays in float64; no bias is 0, so a bias that is left out shows."""
    return {name: array.copy() for name, array in _draw_weights(case).items()}


# Thousands of guesses are tried with the same weights.
@cache
def _draw_weights(case: Case) -> dict[str, Array]:
    arrays = {
        name: case.scale * generator(0, "student", number).uniform(-1.2, 1.2, shape)
        for number, (name, shape) in enumerate(weight_shapes(CONFIG).items())
    }
    i, f, g, _ = np.split(arrays["lstm.0.bias"], 4)
    for block, signs in ((i, (1, 1)), (f, (1, 1)), (g, (1, -1))):
        block[:2] += case.climb * np.array(signs)
    return arrays


def make_ids(case: Case = USUAL) -> Array:
    """Return the ids (B, T) that a language model reads; some of them are repeated."""
    return np.array(case.ids)


def make_inputs(case: Case = USUAL) -> Array:
    """Return the inputs (B, T, E) that a layer reads: the embeddings of the ids."""
    return make_case_weights(case)["embedding"][make_ids(case)]


def make_layer(case: Case = USUAL) -> Weights:
    """Return the kernel (E, 4H), the recurrent kernel (H, 4H) and the bias (4H,)."""
    arrays = make_case_weights(case)
    return arrays["lstm.0.kernel"], arrays["lstm.0.recurrent"], arrays["lstm.0.bias"]


def run_case(variant: Variant = REFERENCE, case: Case = USUAL) -> dict[str, Array]:
    """Return what a variant computes: i, f, g, o, cell and hidden (B, T, H), logits (B, T, V)."""
    return run_model(make_case_weights(case), make_ids(case), variant)


def run_model(arrays: Mapping[str, Array], ids: Array, variant: Variant = REFERENCE) -> dict[str, Array]:
    """Return what a variant computes with other weights and ids.

    Args:
        arrays: canonical arrays of a model with one LSTM layer.
        ids: the ids to read, (B, T).
        variant: the reference, or one changed version of it.

    Returns:
        The same names as run_case.
    """
    exact = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    layer = exact["lstm.0.kernel"], exact["lstm.0.recurrent"], exact["lstm.0.bias"]
    table = variant.embedding_scale * exact["embedding"]
    if variant.zero_id >= 0:
        table[int(variant.zero_id)] = 0
    inputs = table[(ids + int(variant.ids)) % len(table)]
    computed = run_cell(inputs, layer, variant, ids == 0 if variant.masked else None)
    kernel = exact["head.kernel"]
    if variant.head == "reshaped":
        kernel = kernel.reshape(kernel.shape[::-1]).T
    read = {"h": computed["hidden"], "c": computed["cell"]}
    values = read.get(variant.head_reads)
    values = ACTIVATIONS[variant.head_reads](read["h"]) if values is None else values
    # logits_t = h_t W + b
    logits = values @ kernel + variant.head_bias * exact["head.bias"]
    return computed | {"logits": _change_logits(logits, variant.logits)}


def _change_logits(logits: Array, change: str) -> Array:
    if change == "given":
        return logits
    if change == "log_softmax":
        return np.log(ACTIVATIONS["softmax"](logits))
    return ACTIVATIONS[change](logits)
