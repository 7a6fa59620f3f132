"""Adam in TensorFlow, traced: the formula of numpy_adam.py on TensorFlow's own variables.

Keras's Adam puts epsilon inside the bias correction, and squares the slices of an embedding's gradient
one by one; so it cannot be the one that the other backends are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from minilm.records import OptimizerConfig

__all__ = ["TracedAdam"]


class TracedAdam:
    """Two moments beside every variable, and the count of updates."""

    def __init__(self, config: OptimizerConfig, variables: Mapping[str, Any]) -> None:
        self.config, self.step = config, 0
        self._variables = list(variables.values())
        self._kind = self._variables[0].dtype
        self.first = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self.second = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self._move = tf.function(self._moved, autograph=False)

    def update(self, gradients: Sequence[Any], rate: float, factor: float) -> None:
        """Move every variable once; `factor` multiplies the dense gradients first."""
        self.step += 1
        step_size = rate / (1 - self.config.beta1**self.step)
        root_share = math.sqrt(1 - self.config.beta2**self.step)
        self._move(list(gradients), *(tf.constant(x, self._kind) for x in (step_size, root_share, factor)))

    def _moved(self, gradients: Sequence[Any], step_size: Any, root_share: Any, factor: Any) -> None:
        beta1, beta2, epsilon = self.config.beta1, self.config.beta2, self.config.epsilon
        moments = zip(self._variables, self.first.values(), self.second.values(), gradients, strict=True)
        for variable, first, second, gradient in moments:
            gradient = gradient * factor
            m = first.assign(beta1 * first + (1 - beta1) * gradient)
            v = second.assign(beta2 * second + (1 - beta2) * gradient * gradient)
            variable.assign_sub(step_size * m / (tf.sqrt(v) / root_share + epsilon))
