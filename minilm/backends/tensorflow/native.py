"""The net trained as Keras does it by default: its own first weights, sparse slices, keras.optimizers.Adam.

Each default in which Keras and PyTorch differ can be made neutral, one at a time. Read this file beside
torch/native.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minilm import weights as canonical
from minilm.backends.tensorflow.net import Net, name_variables
from minilm.records import Array, ModelConfig

__all__ = ["DEFAULTS", "NativeTensorFlow"]

DEFAULTS = (
    *("embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init"),
    *("adam_epsilon", "adam_epsilon_hat", "adam_constants", "embedding_sparse"),
)
"""The defaults of Keras that can be made neutral."""


class NativeTensorFlow:
    """A training with Keras's defaults, which begins anew at every call of `train`.

    Args:
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
    """

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        self.config, self._dtype = config, dtype
        self._net = Net(config, dtype)
        self._variables = name_variables(self._net)
        self._ours, self._theirs = (
            canonical.initial_weights(config, dtype),
            _draw_keras_weights(config, dtype),
        )
        self._adams: dict[tuple[float, bool], _KerasAdam] = {}
        self._gradients = tf.function(self._compute_gradients, autograph=False)

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Train on the batches, one step each.

        Args:
            batches: inputs, targets and mask of each step, (B, T) each.
            rate: the learning rate.
            neutral: the names of the defaults that are replaced by ours.

        Returns:
            The losses (steps,) in nats per token, and the canonical weights after the last step.
        """
        for name, variable in self._variables.items():
            variable.assign(self._ours[name] if _init_default(name) in neutral else self._theirs[name])
        apply, losses = self._start_adam(rate, neutral), []
        for step, (inputs, targets, mask) in enumerate(batches, 1):
            loss, gradients = self._gradients(
                tf.constant(inputs), tf.constant(targets), tf.constant(mask.astype(self._dtype))
            )
            if "embedding_sparse" in neutral:
                gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            apply(gradients, step)
            losses.append(float(loss))
        return np.array(losses), {name: value.numpy().copy() for name, value in self._variables.items()}

    def _compute_gradients(self, inputs: Any, targets: Any, mask: Any) -> tuple[Any, list[Any]]:
        variables = list(self._variables.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            outputs, _ = self._net(self._net.embedding(inputs))
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, self._net.head(outputs[-1]))
            loss = tf.reduce_sum(each * mask) / tf.reduce_sum(mask)
        # The embedding's gradient stays IndexedSlices: one row per token read. Keras's Adam squares the rows
        # one by one, so an id that occurs k times gets the sum of k squares and not the square of the sum.
        return loss, tape.gradient(loss, variables)

    def _start_adam(self, rate: float, neutral: frozenset[str]) -> Callable[[Any, int], None]:
        """Return a function (gradients, step from 1) that makes one update with a fresh Adam of Keras."""
        key = rate, "adam_constants" in neutral
        if key not in self._adams:
            self._adams[key] = _KerasAdam(list(self._variables.values()), self._net, *key)
        adam = self._adams[key]
        adam.reset()
        base = 1e-8 if "adam_epsilon" in neutral else adam.default_epsilon

        def apply(gradients: Any, step: int) -> None:
            # Keras's step is s / (sqrt(v) + epsilon) with s = sqrt(1 - beta2^t). With epsilon * s in place of
            # epsilon it is 1 / (sqrt(v) / s + epsilon), as in PyTorch.
            share = math.sqrt(1 - adam.beta2**step) if "adam_epsilon_hat" in neutral else 1.0
            adam.epsilon.assign(tf.constant(base * share, self._dtype))
            adam.apply(gradients)

        return apply


class _KerasAdam:
    """keras.optimizers.Adam, traced once. Its epsilon is a variable, so that each step can choose it."""

    def __init__(self, variables: Sequence[Any], net: Net, rate: float, exact: bool) -> None:
        kind = variables[0].dtype
        adam: Any = keras.optimizers.Adam(rate)
        self.default_epsilon, self.beta2 = adam.epsilon, adam.beta_2
        if exact:
            # Keras casts its numbers to float32 on their way. Tensors of the net's own dtype are left alone.
            adam = keras.optimizers.Adam(lambda: tf.constant(rate, kind))  # type: ignore[arg-type]
            adam.beta_1, adam.beta_2 = (tf.constant(x, kind) for x in (adam.beta_1, adam.beta_2))
        adam.epsilon = self.epsilon = tf.Variable(tf.constant(self.default_epsilon, kind), trainable=False)
        owned = [next(v for v in net.trainable_variables if v.value is value) for value in variables]
        adam.build(owned)
        self._moments = [
            variable for variable in adam.variables if variable.path.split("/")[-1] != "learning_rate"
        ]
        self.apply = tf.function(lambda gradients: adam.apply(gradients, owned), autograph=False)

    def reset(self) -> None:
        """Set the moments and the count of updates back to 0."""
        for variable in self._moments:
            variable.assign(tf.zeros_like(variable.value))


def _init_default(name: str) -> str:
    """Return the default that a canonical array's first values belong to.

    >>> _init_default("lstm.0.kernel"), _init_default("head.bias")
    ('kernel_init', 'head_init')
    """
    return f"{name.split('.')[-1] if name.startswith('lstm') else name.split('.')[0]}_init"


def _draw_keras_weights(config: ModelConfig, dtype: str) -> dict[str, Array]:
    """Return the first weights of Keras's layers, from their own default initialisers, seeded."""
    lstm, dense, table = keras.layers.LSTM(1), keras.layers.Dense(1), keras.layers.Embedding(1, 1)
    kinds = {
        "embedding": table.embeddings_initializer,
        "kernel": lstm.kernel_initializer,
        "recurrent": lstm.recurrent_initializer,
        "head.kernel": dense.kernel_initializer,
    }
    found, size = {}, config.hidden_size
    for number, (name, shape) in enumerate(canonical.weight_shapes(config).items()):
        kind = kinds.get(name) or kinds.get(name.split(".")[-1])
        if kind is None:
            # a bias: 0, and 1 for the forget gate
            found[name] = np.zeros(shape, dtype)
            if name.startswith("lstm") and lstm.unit_forget_bias:
                found[name][size : 2 * size] = 1
            continue
        seeded = type(kind).from_config({**kind.get_config(), "seed": 1000 * config.seed + number})
        found[name] = np.asarray(seeded(shape, dtype=dtype))
    return found
