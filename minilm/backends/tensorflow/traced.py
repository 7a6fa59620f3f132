"""The functions of the TensorFlow net that run as graphs: reading, losses, gradients and Adam's update.

tf.function runs a Python function once, records ("traces") the operations on tensors that it makes, and from
then on runs only this graph. A Keras LSTM that is called without a graph costs ten times as much per token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from minilm.backends.tensorflow.net import Net
from minilm.records import ModelConfig, OptimizerConfig

__all__ = ["Traced", "TracedAdam"]


class Traced:
    """The traced functions of one net on one device.

    Args:
        net: the net.
        variables: canonical name -> variable, in canonical order, the embedding first.
        config: the net's sizes.
        dtype: "float32" or "float64".
        where: TensorFlow's name of the device.
    """

    def __init__(
        self, net: Net, variables: Mapping[str, Any], config: ModelConfig, dtype: str, where: str
    ) -> None:
        self._net, self._where, self._vocab_size = net, where, config.vocab_size
        self._variables = list(variables.values())
        # tf.function traces anew for every shape that it has not seen. With a signature it traces once;
        # None stands for any number of tokens.
        state = [[tf.TensorSpec((1, config.hidden_size), dtype)] * 2] * config.layers
        self.read_one = self._trace(self._read_one, [tf.TensorSpec((1,), tf.int64), state])
        self.read_many = self._trace(self._read_many, [tf.TensorSpec((1, None), tf.int64), state])
        self.head = self._trace(net.head, [tf.TensorSpec((None, config.hidden_size), dtype)])
        # Batches have any shape (B, T), and dropout masks may be absent: these are traced once per shape.
        self.losses = self._trace(self._losses)
        self.gradients = self._trace(self._gradients)
        self.global_norm = self._trace(tf.linalg.global_norm)
        self.embedding_gradient = self._trace(self._embedding_gradient)

    def _trace(self, function: Callable[..., Any], signature: Any = None) -> Callable[..., Any]:
        # TensorFlow counts tracings by the Python code, so two models would look like one that is traced too
        # often, and it would warn. A partial of its own makes the code of each model different.
        placed = partial(self._run_on_device, function)
        return tf.function(placed, signature, autograph=False, reduce_retracing=signature is None)

    def _run_on_device(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with tf.device(self._where):
            return function(*arguments)

    def _read_one(self, tokens: Any, state: Any) -> tuple[Any, Any, Any]:
        embeddings = self._net.embedding(tokens)  # (1, E)
        top, after = self._net.step(embeddings, state)
        return self._net.head(top), embeddings, after

    def _read_many(self, tokens: Any, state: Any) -> tuple[Any, Any, Any]:
        embeddings = self._net.embedding(tokens)  # (1, T, E)
        outputs, after = self._net(embeddings, state=state)
        return embeddings, outputs, after

    def _losses(self, inputs: Any, targets: Any, mask: Any, dropout: Any) -> Any:
        outputs, _ = self._net(self._net.embedding(inputs), dropout=dropout)
        logits = self._net.head(outputs[-1])  # (B, T, V)
        # loss = -ln softmax(logits)[target]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # (B, T)
        return losses * mask

    def _gradients(self, inputs: Any, targets: Any, mask: Any, count: Any, dropout: Any) -> Any:
        # The tape records every operation on what it watches, to go through them backwards. By default it
        # watches each variable that the net reads; here it is told which.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self._variables)
            losses = self._losses(inputs, targets, mask, dropout)
            loss = tf.reduce_sum(losses) / count
        # The embedding's gradient comes as IndexedSlices: one row per token read, and the row's id beside it.
        # An id that occurs k times has k rows, and its gradient is their sum.
        slices, *others = tape.gradient(loss, self._variables)
        dense = tf.math.unsorted_segment_sum(slices.values, slices.indices, self._vocab_size)  # (V, E)
        return loss, losses, [dense, *others]

    def _embedding_gradient(self, values: Any, direction: Any, as_logp: Any) -> tuple[Any, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits = self._net.head(self._net(values)[0][-1][:, -1])[0]  # (V,)
            scores = tf.where(as_logp, tf.nn.log_softmax(logits), logits)
            value = tf.reduce_sum(direction * scores)
        return value, tape.gradient(value, values)


class TracedAdam:
    """Adam on TensorFlow's own variables: two moments for each, and the count of updates.

    It is written by hand because keras.optimizers.Adam puts epsilon at another place in the formula than
    torch.optim.Adam does.

    Args:
        config: beta1, beta2 and epsilon.
        variables: canonical name -> variable.
    """

    def __init__(self, config: OptimizerConfig, variables: Mapping[str, Any]) -> None:
        self.config, self.step = config, 0
        self._variables = list(variables.values())
        self._dtype = self._variables[0].dtype
        self.first = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self.second = {name: tf.Variable(tf.zeros_like(value)) for name, value in variables.items()}
        self._apply = tf.function(self._update, autograph=False)

    def update(self, gradients: Sequence[Any], rate: float, factor: float) -> None:
        """Update every variable once.

        Args:
            gradients: one dense tensor per variable.
            rate: the learning rate.
            factor: number that the gradients are multiplied by first.
        """
        self.step += 1
        step_size = rate / (1 - self.config.beta1**self.step)
        root_share = math.sqrt(1 - self.config.beta2**self.step)
        # As tensors: a Python number would be built into the graph, and every new value would trace it anew.
        numbers = (tf.constant(number, self._dtype) for number in (step_size, root_share, factor))
        self._apply(list(gradients), *numbers)

    def _update(self, gradients: Sequence[Any], step_size: Any, root_share: Any, factor: Any) -> None:
        beta1, beta2, epsilon = self.config.beta1, self.config.beta2, self.config.epsilon
        moments = zip(self._variables, self.first.values(), self.second.values(), gradients, strict=True)
        for variable, first, second, gradient in moments:
            gradient = gradient * factor
            # m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
            m = first.assign(beta1 * first + (1 - beta1) * gradient)
            # v_t = beta2 * v_{t-1} + (1 - beta2) * g_t^2
            v = second.assign(beta2 * second + (1 - beta2) * gradient * gradient)
            # w_t = w_{t-1} - rate * (m_t / (1 - beta1^t)) / (sqrt(v_t / (1 - beta2^t)) + epsilon)
            variable.assign_sub(step_size * m / (tf.sqrt(v) / root_share + epsilon))
