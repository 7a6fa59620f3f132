"""An array in a line: its shape, norm, extremes and zeros; for gradients, updates and weights alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.records import Array
from minilm.training.one_step import norm

__all__ = ["ArrayFacts", "facts_of"]


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """zeros: the share of entries that are exactly 0, for an embedding's gradient those of unread ids."""

    shape: tuple[int, ...]
    norm: float
    least: float
    greatest: float
    zeros: float


def facts_of(arrays: Mapping[str, Array]) -> dict[str, ArrayFacts]:
    """The facts of every array.

    >>> facts_of({"a": np.array([3.0, 0.0, -4.0, 0.0])})["a"]
    ArrayFacts(shape=(4,), norm=5.0, least=-4.0, greatest=3.0, zeros=0.5)
    """
    return {
        name: ArrayFacts(
            a.shape, norm(a), float(a.min()), float(a.max()), int(np.count_nonzero(a == 0)) / a.size
        )
        for name, a in arrays.items()
    }
