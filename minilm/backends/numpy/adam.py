"""Gradient clipping and the Adam optimizer: the one formula that every backend of minilm computes.

Source: Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization", with epsilon outside the
bias-corrected root; clipping by the global norm: Pascanu et al. (2013).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array, OptimizerConfig

__all__ = ["Adam", "clip_factor", "global_norm"]


def global_norm(arrays: Mapping[str, Array]) -> float:
    """Return the Euclidean norm of all arrays together, as if they were one long vector.

    >>> global_norm({"a": np.array([3.0]), "b": np.array([4.0])})
    5.0
    """
    # norm = sqrt(sum over all numbers of x^2)
    return math.sqrt(sum(float(np.vdot(array, array)) for array in arrays.values()))


def clip_factor(norm: float, clip: float | None) -> float:
    """Return the factor for all gradients that brings their global norm down to `clip`.

    >>> clip_factor(0.5, 1.0), round(clip_factor(4.0, 1.0), 6)
    (1.0, 0.25)

    Args:
        norm: the global norm of the gradients.
        clip: the largest norm that is left as it is; None never clips.

    Returns:
        A number from 0 to 1; 1 means that nothing is clipped.

    Raises:
        MinilmError: clip is not above 0, or the norm is not finite: clipping would then make every weight
            not finite.
    """
    if clip is None:
        return 1.0
    if not clip > 0:
        raise MinilmError(f"clip must be above 0, got {clip}; for no clipping give None")
    if not math.isfinite(norm):
        raise MinilmError(f"The gradient's norm is {norm}; nothing was updated; look at the batch")
    # factor = min(1, clip / norm); 1e-6 keeps a norm of 0 from dividing by 0
    return min(1.0, clip / (norm + 1e-6))


class Adam:
    """The Adam optimizer: two running averages for every weight, and the number of updates.

    Attributes:
        config: beta1, beta2 and epsilon.
        first: m, the running average of the gradients, by the weight's name.
        second: v, the running average of the squared gradients, by the weight's name.
        step: t, the updates made so far.
    """

    def __init__(self, config: OptimizerConfig, arrays: Mapping[str, Array]) -> None:
        """Start at step 0, with averages of 0 in the shapes of the arrays."""
        self.config = config
        self.first = {name: np.zeros_like(array) for name, array in arrays.items()}
        self.second = {name: np.zeros_like(array) for name, array in arrays.items()}
        self.step = 0

    def update(
        self, arrays: Mapping[str, Array], gradients: Mapping[str, Array], rate: float, factor: float
    ) -> None:
        """Update every array once, in place.

        Args:
            arrays: the weights by name; overwritten.
            gradients: their gradients by the same names.
            rate: the learning rate.
            factor: the clip factor, which multiplies every gradient first.
        """
        self.step += 1
        beta1, beta2 = self.config.beta1, self.config.beta2
        # m and v start at 0 and are too small at first; dividing by 1 - beta^t corrects that bias.
        first_correction = 1 - beta1**self.step
        second_correction = math.sqrt(1 - beta2**self.step)
        for name, weight in arrays.items():
            gradient, m, v = gradients[name], self.first[name], self.second[name]
            if factor != 1:
                gradient = gradient * factor
            # m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
            m *= beta1
            m += (1 - beta1) * gradient
            # v_t = beta2 * v_{t-1} + (1 - beta2) * g_t^2
            v *= beta2
            v += (1 - beta2) * (gradient * gradient)
            # root = sqrt(v_t / (1 - beta2^t)) + epsilon
            root = np.sqrt(v)
            root /= second_correction
            root += self.config.epsilon
            # w_t = w_{t-1} - rate * (m_t / (1 - beta1^t)) / root
            weight -= (rate / first_correction) * (m / root)
