"""The LSTM language model in TensorFlow: the NumPy face of the net in tensorflow_net.py.

Everything runs traced: a Keras LSTM called eagerly costs ten times as much a token. TensorFlow takes
2 s to import, so this file is imported only when its name is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilm import weights as canonical
from minilm.backends.checks import (
    check_against,
    check_batch,
    check_dtype,
    check_ids,
    check_inner,
    check_rows,
    check_state,
)
from minilm.backends.gates import layers_inside
from minilm.backends.lazy_arrays import LazyArrays
from minilm.backends.numpy.adam import clip_factor
from minilm.backends.tensorflow.net import Net, device_named, variables_by_name
from minilm.backends.tensorflow.traced import Traced
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig, Reading, frozen_array

import tensorflow as tf  # isort: skip - after the settings of tensorflow_net
from minilm.backends.tensorflow.traced import TracedAdam  # isort: skip

__all__ = ["TensorFlowLSTM", "create"]


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> TensorFlowLSTM:
    """The model with the given canonical weights, or the seeded initial ones, on cpu, cuda or gpu."""
    check_config(config)
    weights = canonical.initial(config, check_dtype(dtype)) if weights is None else weights
    return TensorFlowLSTM(config, check_dtype(dtype), device, weights)


class TensorFlowLSTM:
    """The net's NumPy face; satisfies Trainable, Inspectable and Attributable."""

    name = "tensorflow"
    context_size = None

    def __init__(self, config: ModelConfig, dtype: str, device: str, weights: Mapping[str, Array]) -> None:
        self.config, self.dtype, self.device = config, dtype, device
        self.vocab_size, self.embedding_size = config.vocab_size, config.embedding_size
        self._where = device_named(device)
        with tf.device(self._where):
            self.net = Net(config, dtype)
            self._variables = variables_by_name(self.net)
            self._adam = TracedAdam(config.optimizer, self._variables)
            nothing = tf.zeros((1, config.hidden_size), dtype)
        self._start = [[nothing, nothing] for _ in range(config.layers)]
        self._traced = Traced(self.net, self._variables, config, dtype, self._where)
        self.restore(weights)

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids, in one traced call; the state is TensorFlow's own [h, c] (1, H) of each layer."""
        every, inner = check_rows(rows), check_inner(inner, self.config.layers)
        tokens = check_ids(ids, self.vocab_size).astype(np.int64, copy=False)
        check_state(state, self.config.layers, (1, self.config.hidden_size))
        before = state or self._start
        if len(tokens) == 1 and not inner:
            logits, embeddings, after = self._traced.step(tokens, before)
            return Reading(_view(logits), _view(embeddings), after)
        embeddings, outputs, after = self._traced.part(tokens[None], before)
        top = outputs[-1][0] if every else outputs[-1][0, -1:]
        values = [_view(value[0]) for value in (embeddings, *outputs)] if inner else []
        befores = [[_view(part[0]) for part in layer] for layer in before] if inner else []
        shown = layers_inside(inner, self.weights(), values, befores)
        return Reading(_view(self._traced.scores(top)), _view(embeddings[0]), after, shown)

    def embedding_table(self) -> Array:
        """All embeddings, (V, E), a read-only view."""
        return _view(self._variables["embedding"].value())

    def head(self) -> tuple[Array, Array]:
        """The output layer, (H, V) and (V,), read-only views."""
        kernel, bias = (self._variables[name].value() for name in ("head.kernel", "head.bias"))
        return _view(kernel), _view(bias)

    def weights(self) -> Mapping[str, Array]:
        """Read-only views of the canonical arrays, valid until the next update or restore."""
        return LazyArrays(self._variables, lambda _, variable: _view(variable.value()))

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """The loss of every target, (B, T) nats, 0 where masked out; forward only."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        return _view(self._traced.forward(inputs, targets, self._tensor(mask), None))

    def _tensor(self, array: Any) -> Any:
        return tf.constant(np.asarray(array, self.dtype))

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward in one traced call; the arrays are made when they are looked at."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        masks = None if dropout is None else [self._tensor(part) for part in dropout]
        loss, losses, dense = self._traced.backward(
            tf.constant(inputs), tf.constant(targets), self._tensor(mask), self._tensor(count), masks
        )
        native = dict(zip(self._variables, dense, strict=True))
        return Gradients(float(loss), _view(losses), LazyArrays(native, lambda _, g: _view(g)), native)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One traced Adam step on TensorFlow's own variables, clipped first; returns the clip factor."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {name: self._tensor(gradients.arrays[name]) for name in self._variables}
        tensors = [native[name] for name in self._variables]
        factor = clip_factor(0.0 if clip is None else float(self._traced.norm(tensors)), clip)
        self._adam.update(tensors, rate, factor)
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Copies of weights, moments and update count."""
        arrays = {name: np.array(variable.value()) for name, variable in self._held().items()}
        return arrays | {"adam.step": np.array(self._adam.step)}

    def _held(self) -> dict[str, Any]:
        first = {f"adam.m.{name}": moment for name, moment in self._adam.first.items()}
        second = {f"adam.v.{name}": moment for name, moment in self._adam.second.items()}
        return self._variables | first | second

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back, or weights alone: moments then start at 0."""
        canonical.check(self.config, arrays)
        for name, variable in self._held().items():
            found = arrays.get(name)
            variable.assign(tf.zeros_like(variable) if found is None else self._tensor(found))
        self._adam.step = int(arrays.get("adam.step", 0))

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """Value and gradient (T, E) at the embeddings times `scale`; see Attributable."""
        check_against(target, against, of, self.vocab_size)
        values = self.embedding_table()[check_ids(ids, self.vocab_size)] * np.asarray(scale, self.dtype)
        direction = np.zeros(self.vocab_size, self.dtype)
        direction[target] = 1
        if against is not None:
            direction[against] -= 1
        value, gradient = self._traced.owed(
            tf.constant(values[None]), tf.constant(direction), tf.constant(of == "logp")
        )
        return float(value), _view(gradient[0])


def _view(tensor: Any) -> Array:
    """The tensor's own memory (.numpy() copies it); a variable that is looked at is updated in new memory."""
    return frozen_array(tensor)
