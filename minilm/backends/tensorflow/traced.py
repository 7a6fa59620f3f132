"""What TensorFlow traces of the net: reading, losses, gradients, and what the embeddings owe.

Pure functions of tensors; each is traced once (the training step once per shape of batch). A partial
stands around each, because TensorFlow counts retracings by code, and would take two models for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minilm.backends.tensorflow.net import Net
from minilm.records import ModelConfig

import tensorflow as tf  # isort: skip - after the settings of tensorflow_net
import math
from collections.abc import Sequence

from minilm.records import OptimizerConfig

__all__ = ["Traced", "TracedAdam"]


class Traced:
    """The traced functions of one net on one device."""

    def __init__(
        self, net: Net, variables: Mapping[str, Any], config: ModelConfig, dtype: str, where: str
    ) -> None:
        self.net, self.variables, self.vocab_size, self.where = (
            net,
            list(variables.values()),
            config.vocab_size,
            where,
        )
        state = [[tf.TensorSpec((1, config.hidden_size), dtype)] * 2] * config.layers
        self.step = self._trace(self._one, [tf.TensorSpec((1,), tf.int64), state])
        self.part = self._trace(self._many, [tf.TensorSpec((1, None), tf.int64), state])
        self.scores = self._trace(net.head, [tf.TensorSpec((None, config.hidden_size), dtype)])
        self.backward = self._trace(self._differentiated)
        self.forward = self._trace(self._losses)
        self.norm = self._trace(tf.linalg.global_norm)
        self.owed = self._trace(self._attributed)

    def _trace(self, function: Callable[..., Any], signature: Any = None) -> Callable[..., Any]:
        placed = partial(self._placed, function)
        return tf.function(placed, signature, autograph=False, reduce_retracing=signature is None)

    def _placed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with tf.device(self.where):
            return function(*arguments)

    def _one(self, tokens: Any, state: Any) -> tuple[Any, Any, Any]:
        embeddings = self.net.embedding(tokens)  # (1, E)
        top, after = self.net.step(embeddings, state)
        return self.net.head(top), embeddings, after

    def _many(self, tokens: Any, state: Any) -> tuple[Any, Any, Any]:
        embeddings = self.net.embedding(tokens)  # (1, T, E)
        outputs, after = self.net(embeddings, state=state)
        return embeddings, outputs, after

    def _losses(self, inputs: Any, targets: Any, mask: Any, dropout: Any) -> Any:
        outputs, _ = self.net(self.net.embedding(inputs), dropout=dropout)
        logits = self.net.head(outputs[-1])  # (B, T, V)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits) * mask

    def _differentiated(self, inputs: Any, targets: Any, mask: Any, count: Any, dropout: Any) -> Any:
        """Loss, losses and dense gradients: an id that occurs k times has its k slices summed."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            losses = self._losses(inputs, targets, mask, dropout)
            loss = tf.reduce_sum(losses) / count
        slices, *others = tape.gradient(loss, self.variables)
        dense = tf.math.unsorted_segment_sum(slices.values, slices.indices, self.vocab_size)
        return loss, losses, [dense, *others]

    def _attributed(self, values: Any, direction: Any, as_logp: Any) -> tuple[Any, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits = self.net.head(self.net(values)[0][-1][:, -1])[0]
            scores = tf.where(as_logp, tf.nn.log_softmax(logits), logits)
            value = tf.reduce_sum(direction * scores)
        return value, tape.gradient(value, values)


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
