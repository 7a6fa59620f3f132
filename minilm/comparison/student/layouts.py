"""The ways in which a student's code reads the weights of a layer wrongly: other blocks, other axes."""

from __future__ import annotations

import numpy as np

from minilm.comparison.student.variant import LETTERS, Variant
from minilm.records import Array

__all__ = ["Weights", "rearrange_weights"]

# kernel (E, 4H), recurrent (H, 4H), bias (4H,)
Weights = tuple[Array, Array, Array]


def rearrange_weights(weights: Weights, variant: Variant) -> Weights:
    """Return the weights as a student's wrong layout would read them.

    Args:
        weights: kernel (E, 4H), recurrent (H, 4H) and bias (4H,).
        variant: how they are read.
    """
    named = dict(zip(("kernel", "recurrent", "bias"), weights, strict=True))
    for name in ("kernel", "recurrent"):
        given = getattr(variant, name)
        if given == "reshaped":
            named[name] = named[name].reshape(named[name].shape[::-1]).T
        if given == "none":
            named[name] = 0 * named[name]
        if given == "transposed":
            blocks = np.split(named[name], 4, axis=1)
            named[name] = np.concatenate([block.T for block in blocks], axis=1)
    if (variant.ordered, variant.copied, variant.without) == ("all", "", ""):
        return named["kernel"], named["recurrent"], named["bias"]
    for name, array in named.items():
        # A block of each gate, in the order i, f, g, o.
        blocks = dict(zip(LETTERS, np.split(array, 4, axis=-1), strict=True))
        if variant.ordered == name or (variant.ordered == "kernels" and name != "bias"):
            blocks = dict(zip(variant.order, blocks.values(), strict=True))
        if variant.copied and variant.copied_part in ("all", name):
            to, _, source = variant.copied.partition("<")
            blocks[to] = blocks[source]
        part, _, letter = variant.without.partition(" ")
        if part == name:
            blocks[letter] = 0 * blocks[letter]
        named[name] = np.concatenate([blocks[letter] for letter in LETTERS], axis=-1)
    return named["kernel"], named["recurrent"], named["bias"]
