"""The LSTM language model in TensorFlow: the net of net.py behind minilm's protocols, in NumPy.

Read it beside torch/lstm.py, which has the same functions in the same order. Tensors stay TensorFlow's own;
NumPy views are made only of what somebody looks at. Everything runs as a traced graph (traced.py).
TensorFlow takes 2 s to import, so this file is imported only when its name is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

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
from minilm.backends.gates import recompute_layers
from minilm.backends.numpy.adam import clip_factor
from minilm.backends.tensorflow.net import Net, find_device, name_variables, view
from minilm.backends.tensorflow.traced import Traced, TracedAdam
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig, Reading
from minilm.weights import LazyArrays

__all__ = ["TensorFlowLSTM", "create"]


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> TensorFlowLSTM:
    """Create the model.

    Args:
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
        device: "cpu", "cuda" or "gpu" (with :N for one of several).
        weights: canonical arrays to begin with; None draws the first weights from the seed.

    Raises:
        MinilmError: the config, the dtype, the device or the weights cannot be used.
    """
    check_config(config)
    weights = canonical.initial_weights(config, check_dtype(dtype)) if weights is None else weights
    return TensorFlowLSTM(config, check_dtype(dtype), find_device(device), weights, device)


class TensorFlowLSTM:
    """The net behind the protocols Trainable, Inspectable and Attributable."""

    name = "tensorflow"
    context_size = None

    def __init__(
        self, config: ModelConfig, dtype: str, where: str, weights: Mapping[str, Array], device: str
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, device
        self.vocab_size, self.embedding_size = config.vocab_size, config.embedding_size
        with tf.device(where):
            self.net = Net(config, dtype)
            self._variables = name_variables(self.net)
            self._adam = TracedAdam(config.optimizer, self._variables)
            zeros = tf.zeros((1, config.hidden_size), dtype)
        self._start = [[zeros, zeros] for _ in range(config.layers)]
        self._traced = Traced(self.net, self._variables, config, dtype, where)
        self.restore(weights)

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; see LanguageModel. The state is [h, c] of each layer, tensors (1, H)."""
        every, inner = check_rows(rows), check_inner(inner, self.config.layers)
        tokens = check_ids(ids, self.vocab_size).astype(np.int64, copy=False)
        check_state(state, self.config.layers, (1, self.config.hidden_size))
        before = state or self._start
        if len(tokens) == 1 and not inner:
            return self._read_one(tokens, before)
        embeddings, outputs, after = self._traced.read_many(tokens[None], before)
        top = outputs[-1][0] if every else outputs[-1][0, -1:]  # (T, H) or (1, H)
        logits = self._traced.head(top)
        shown = self._inside(inner, [embeddings, *outputs], before) if inner else {}
        return Reading(view(logits), view(embeddings[0]), after, shown)

    def _read_one(self, token: Array, state: Any) -> Reading:
        """Read one id (1,) with the cell itself: Keras's loop over time is not worth it for one step."""
        logits, embeddings, after = self._traced.read_one(token, state)
        return Reading(view(logits), view(embeddings), after)

    def _inside(self, names: Sequence[str], values: list[Any], state: Any) -> dict[str, Array]:
        """Return the named gates, cells and hidden states, which a fused LSTM layer keeps to itself."""
        before = [(view(hidden[0]), view(cell[0])) for hidden, cell in state]
        return recompute_layers(names, self.weights(), [view(value[0]) for value in values], before)

    def embedding_table(self) -> Array:
        """Return all embeddings, (V, E), as a read-only view."""
        return view(self._variables["embedding"].value())

    def head(self) -> tuple[Array, Array]:
        """Return the output layer, kernel (H, V) and bias (V,), as read-only views."""
        kernel, bias = (self._variables[name].value() for name in ("head.kernel", "head.bias"))
        return view(kernel), view(bias)

    def weights(self) -> Mapping[str, Array]:
        """Return read-only views of the canonical arrays, which hold until the next update or restore."""
        return LazyArrays(self._variables, lambda _, variable: view(variable.value()))

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target, (B, T) nats; see Trainable."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        return view(self._traced.losses(inputs, targets, self._tensor(mask), None))

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Run forward and backward over a batch; see Trainable. An array is made when it is looked at."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        masks = None if dropout is None else [self._tensor(part) for part in dropout]
        # Everything is handed over as a tensor: a Python number would trace the graph anew for each value.
        loss, losses, dense = self._traced.gradients(
            tf.constant(inputs), tf.constant(targets), self._tensor(mask), self._tensor(count), masks
        )
        native = dict(zip(self._variables, dense, strict=True))
        return Gradients(float(loss), view(losses), LazyArrays(native, lambda _, g: view(g)), native)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """Make one Adam step on TensorFlow's own variables, and return the clip factor; see Trainable."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {name: self._tensor(gradients.arrays[name]) for name in self._variables}
        tensors = [native[name] for name in self._variables]
        norm = 0.0 if clip is None else float(self._traced.global_norm(tensors))
        factor = clip_factor(norm, clip)
        self._adam.update(tensors, rate, factor)
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Return copies of weights, moments and update count; see Trainable."""
        arrays = {name: np.array(variable.value()) for name, variable in self._saved_variables().items()}
        return arrays | {"adam.step": np.array(self._adam.step)}

    def _saved_variables(self) -> dict[str, Any]:
        first = {f"adam.m.{name}": moment for name, moment in self._adam.first.items()}
        second = {f"adam.v.{name}": moment for name, moment in self._adam.second.items()}
        return self._variables | first | second

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a snapshot, or to weights alone; see Trainable."""
        canonical.check_weights(self.config, arrays)
        for name, variable in self._saved_variables().items():
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
        """Return a value of the prediction and its gradient (T, E) at the embeddings; see Attributable."""
        check_against(target, against, of, self.vocab_size)
        values = self.embedding_table()[check_ids(ids, self.vocab_size)] * np.asarray(scale, self.dtype)
        # value = direction · scores: 1 at the target and -1 at the token that is subtracted
        direction = np.zeros(self.vocab_size, self.dtype)
        direction[target] = 1
        if against is not None:
            direction[against] -= 1
        value, gradient = self._traced.embedding_gradient(
            tf.constant(values[None]), tf.constant(direction), tf.constant(of == "logp")
        )
        return float(value), view(gradient[0])

    def _tensor(self, array: Any) -> Any:
        """Return a tensor of the model's dtype."""
        return tf.constant(np.asarray(array, self.dtype))
