"""The net trained as Keras does it by default: its own first weights, sparse slices, keras.optimizers.Adam.

What it does unlike PyTorch can be made neutral, one default of the comparison at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minilm import weights as canonical
from minilm.backends.tensorflow.net import Net, variables_by_name
from minilm.records import Array, ModelConfig

from minilm.backends.tensorflow.net import keras, tf  # isort: skip - with their settings

__all__ = ["DEFAULTS", "NativeTensorFlow"]

DEFAULTS = (
    *("embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init"),
    *("adam_epsilon", "adam_epsilon_hat", "adam_constants", "embedding_sparse"),
)


class NativeTensorFlow:
    """Trains the net from its first weights, on the same batches, at every call of `train`."""

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        self.config, self._dtype = config, dtype
        self._net = Net(config, dtype)
        self._variables = variables_by_name(self._net)
        self._ours, self._theirs = canonical.initial(config, dtype), _keras_draws(config, dtype)
        self._adams: dict[tuple[float, bool], _Adam] = {}
        self._gradients = tf.function(self._differentiated, autograph=False)

    def _differentiated(self, inputs: Any, targets: Any, mask: Any) -> tuple[Any, list[Any]]:
        variables = list(self._variables.values())
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            outputs, _ = self._net(self._net.embedding(inputs))
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, self._net.head(outputs[-1]))
            loss = tf.reduce_sum(each * mask) / tf.reduce_sum(mask)
        return loss, tape.gradient(loss, variables)  # the embedding's as IndexedSlices

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Losses (steps,), nats per token, and the weights after; batches of inputs, targets, mask (B, T)."""
        for name, variable in self._variables.items():
            variable.assign(self._ours[name] if _init_default(name) in neutral else self._theirs[name])
        apply, losses = self._optimizer(rate, neutral), []
        for step, (inputs, targets, mask) in enumerate(batches, 1):
            loss, gradients = self._gradients(
                tf.constant(inputs), tf.constant(targets), tf.constant(mask.astype(self._dtype))
            )
            if "embedding_sparse" in neutral:
                gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            apply(gradients, step)
            losses.append(float(loss))
        return np.array(losses), {name: value.numpy().copy() for name, value in self._variables.items()}

    def _optimizer(self, rate: float, neutral: frozenset[str]) -> Callable[[Any, int], None]:
        """A fresh Adam of Keras, with what is neutral in it: (gradients, step from 1) moves the weights."""
        key = rate, "adam_constants" in neutral
        if key not in self._adams:
            self._adams[key] = _Adam(list(self._variables.values()), self._net, *key)
        adam = self._adams[key]
        adam.reset()
        base = 1e-8 if "adam_epsilon" in neutral else adam.default_epsilon

        def apply(gradients: Any, step: int) -> None:
            # √v + ε√(1-β₂ᵗ), over √(1-β₂ᵗ), is √v/√(1-β₂ᵗ) + ε: the formula without the hat
            share = math.sqrt(1 - adam.beta2**step) if "adam_epsilon_hat" in neutral else 1.0
            adam.epsilon.assign(tf.constant(base * share, self._dtype))
            adam.move(gradients)

        return apply


class _Adam:
    """keras.optimizers.Adam, traced once; its epsilon is a variable, so that a step can choose it."""

    def __init__(self, variables: Sequence[Any], net: Net, rate: float, exact: bool) -> None:
        kind = variables[0].dtype
        adam: Any = keras.optimizers.Adam(rate)
        self.default_epsilon, self.beta2 = adam.epsilon, adam.beta_2
        if exact:  # tensors of the net's own type are not cast through float32
            adam = keras.optimizers.Adam(lambda: tf.constant(rate, kind))  # type: ignore[arg-type]
            adam.beta_1, adam.beta_2 = (tf.constant(x, kind) for x in (adam.beta_1, adam.beta_2))
        adam.epsilon = self.epsilon = tf.Variable(tf.constant(self.default_epsilon, kind), trainable=False)
        owned = [next(v for v in net.trainable_variables if v.value is value) for value in variables]
        adam.build(owned)
        self._moments = [
            variable for variable in adam.variables if variable.path.split("/")[-1] != "learning_rate"
        ]
        self.move = tf.function(lambda gradients: adam.apply(gradients, owned), autograph=False)

    def reset(self) -> None:
        """Moments and count of updates as at the start."""
        for variable in self._moments:
            variable.assign(tf.zeros_like(variable.value))


def _init_default(name: str) -> str:
    """The default that gives a canonical array its first values.

    >>> _init_default("lstm.0.kernel"), _init_default("head.bias")
    ('kernel_init', 'head_init')
    """
    return f"{name.split('.')[-1] if name.startswith('lstm') else name.split('.')[0]}_init"


def _keras_draws(config: ModelConfig, dtype: str) -> dict[str, Array]:
    """What Keras's layers would begin with, from their own default initialisers, seeded."""
    lstm, dense, table = keras.layers.LSTM(1), keras.layers.Dense(1), keras.layers.Embedding(1, 1)
    kinds = {
        "embedding": table.embeddings_initializer,
        "kernel": lstm.kernel_initializer,
        "recurrent": lstm.recurrent_initializer,
        "head.kernel": dense.kernel_initializer,
    }
    found, size = {}, config.hidden_size
    for number, (name, shape) in enumerate(canonical.shapes(config).items()):
        kind = kinds.get(name) or kinds.get(name.split(".")[-1])
        if kind is None:  # a bias: 0, and 1 for the forget gate
            found[name] = np.zeros(shape, dtype)
            if name.startswith("lstm") and lstm.unit_forget_bias:
                found[name][size : 2 * size] = 1
            continue
        seeded = type(kind).from_config({**kind.get_config(), "seed": 1000 * config.seed + number})
        found[name] = np.asarray(seeded(shape, dtype=dtype))
    return found
