"""Adam and clipping by the global norm, by hand: the one formula that every backend computes.

Kingma and Ba (2015), epsilon outside the bias-corrected root. The clip factor is
min(1, clip / (norm + 1e-6)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array, OptimizerConfig

__all__ = ["Adam", "clip_factor", "global_norm"]


def global_norm(arrays: Mapping[str, Array]) -> float:
    """Root of the sum of squares over all arrays.

    >>> global_norm({"a": np.array([3.0]), "b": np.array([4.0])})
    5.0
    """
    return math.sqrt(sum(float(np.vdot(array, array)) for array in arrays.values()))


def clip_factor(norm: float, clip: float | None) -> float:
    """What gradients of this norm are multiplied by, so that the norm is at most `clip`; None never clips.

    A norm that is not finite raises MinilmError: clipping would spread it over every weight.

    >>> clip_factor(0.5, 1.0), round(clip_factor(4.0, 1.0), 6)
    (1.0, 0.25)
    """
    if clip is None:
        return 1.0
    if not clip > 0:
        raise MinilmError(f"clip must be above 0, got {clip}; for no clipping give None")
    if not math.isfinite(norm):
        raise MinilmError(f"The gradient's norm is {norm}; nothing was updated; look at the batch")
    return min(1.0, clip / (norm + 1e-6))


class Adam:
    """The two moments of every array and the count of updates; `update` works in place."""

    def __init__(self, config: OptimizerConfig, arrays: Mapping[str, Array]) -> None:
        self.config = config
        self.first = {name: np.zeros_like(array) for name, array in arrays.items()}
        self.second = {name: np.zeros_like(array) for name, array in arrays.items()}
        self.step = 0

    def update(
        self, arrays: Mapping[str, Array], gradients: Mapping[str, Array], rate: float, factor: float
    ) -> None:
        """Move every array once; `factor` multiplies the gradients first.

        m = β₁m + (1-β₁)g,  v = β₂v + (1-β₂)g²,  w = w - rate · m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε)
        """
        self.step += 1
        beta1, beta2 = self.config.beta1, self.config.beta2
        first_share, second_share = 1 - beta1**self.step, math.sqrt(1 - beta2**self.step)
        for name, weight in arrays.items():
            gradient, m, v = gradients[name], self.first[name], self.second[name]
            if factor != 1:
                gradient = gradient * factor
            m *= beta1
            m += (1 - beta1) * gradient
            v *= beta2
            v += (1 - beta2) * (gradient * gradient)
            root = np.sqrt(v)
            root /= second_share
            root += self.config.epsilon
            weight -= (rate / first_share) * (m / root)
