"""The LSTM language model from scratch in NumPy: the reference that the frameworks are held against.

Embedding, LSTM layers (numpy_layer.py), a linear head, the masked loss and its gradient; Adam is in
numpy_adam.py. Nothing here is automatic: every derivative is written out. Numbers that grow too large become
infinite in silence, as in the frameworks: the loop that trains names what is not finite.
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
from minilm.backends.numpy.adam import Adam, clip_factor, global_norm
from minilm.backends.numpy.layer import Layer, LayerTrace, backward, forward, step
from minilm.backends.numpy.loss import cross_entropy, sum_by_id
from minilm.errors import MinilmError
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig, Reading, frozen_array

__all__ = ["NumpyLSTM", "create"]


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> NumpyLSTM:
    """The model with the given canonical weights, or the seeded initial ones."""
    if device != "cpu":
        raise MinilmError(f"Backend numpy runs on the cpu only, got device {device!r}")
    check_config(config)
    check_dtype(dtype)
    weights = canonical.initial(config, dtype) if weights is None else weights
    canonical.check(config, weights)
    return NumpyLSTM(config, {name: np.array(weights[name], dtype) for name in canonical.shapes(config)})


class NumpyLSTM:
    """An LSTM language model by hand; satisfies Trainable, Inspectable and Attributable."""

    name = "numpy"
    device = "cpu"
    context_size = None

    def __init__(self, config: ModelConfig, arrays: dict[str, Array]) -> None:
        self.config = config
        self.vocab_size, self.embedding_size = config.vocab_size, config.embedding_size
        self.dtype = arrays["embedding"].dtype.name
        self._arrays = arrays
        self._embedding = arrays["embedding"]  # (V, E)
        self._head = arrays["head.kernel"], arrays["head.bias"]  # (H, V), (V,)
        self._layers = [
            Layer(*(arrays[f"lstm.{number}.{part}"] for part in Layer._fields))
            for number in range(config.layers)
        ]
        self._adam = Adam(config.optimizer, arrays)

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; the state is one (hidden (H,), cell (H,)) per layer."""
        every, inner = check_rows(rows), check_inner(inner, self.config.layers)
        embeddings = values = self._embedding[check_ids(ids, self.vocab_size)]  # (T, E)
        after, carried = [], {}
        for number, (layer, before) in enumerate(zip(self._layers, self._state(state), strict=True)):
            gates, cells, values = _run(layer, values, *before)
            after.append((values[-1], cells[-1]))
            if inner:
                found = {"hidden": values, "cell": cells, "gates": gates}
                carried.update({f"{kind}.{number}": array for kind, array in found.items()})
        kernel, bias = self._head
        logits = (values if every else values[-1:]) @ kernel  # (T, V) or (1, V)
        logits += bias
        shown = {name: frozen_array(carried[name]) for name in inner}
        return Reading(frozen_array(logits), frozen_array(embeddings), tuple(after), shown)

    def _state(self, state: Any) -> Any:
        if state is not None:
            check_state(state, self.config.layers, (self.config.hidden_size,))
            return state
        nothing = np.zeros(self.config.hidden_size, self.dtype)
        return [(nothing, nothing)] * self.config.layers

    def embedding_table(self) -> Array:
        """All embeddings, (V, E), a read-only view."""
        return frozen_array(self._embedding)

    def head(self) -> tuple[Array, Array]:
        """The output layer, (H, V) and (V,), read-only views."""
        return frozen_array(self._head[0]), frozen_array(self._head[1])

    def weights(self) -> dict[str, Array]:
        """Read-only views of the canonical arrays, valid until the next update or restore."""
        return {name: frozen_array(array) for name, array in self._arrays.items()}

    @np.errstate(over="ignore", invalid="ignore")
    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """The loss of every target, (B, T) nats, 0 where masked out; forward only."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        top = self._forward(self._embedding[inputs.T], None)[1]
        return frozen_array(cross_entropy(*self._head, top, targets.T)[0].T * mask.astype(self.dtype))

    def _forward(self, values: Array, dropout: Sequence[Array] | None) -> tuple[list[LayerTrace], Array]:
        """Layer by layer over embeddings (T, B, E): the traces, and what the head reads (T, B, H)."""
        traces = []
        nothing = np.zeros((*values.shape[1:-1], self.config.hidden_size), self.dtype)
        for number, layer in enumerate(self._layers):
            traces.append(forward(layer, values, nothing, nothing))
            values = traces[-1].hidden[1:]
            if dropout is not None:
                values = values * _time_first(dropout[number], self.dtype)
        return traces, values

    @np.errstate(over="ignore", invalid="ignore")
    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward, and back through the head, the layers and time; see Trainable for the shapes."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        mask = mask.astype(self.dtype)
        traces, top = self._forward(self._embedding[inputs.T], dropout)
        losses, d_logits = cross_entropy(*self._head, top, targets.T)
        losses = losses.T * mask
        d_logits[np.arange(targets.size), targets.T.ravel()] -= 1  # of cross entropy: p less the one-hot
        d_logits *= mask.T.reshape(-1, 1) / self._number(count)
        arrays = {
            "head.kernel": top.reshape(len(d_logits), -1).T @ d_logits,
            "head.bias": d_logits.sum(axis=0),
        }
        d_values, parts = self._backward(traces, (d_logits @ self._head[0].T).reshape(top.shape), dropout)
        arrays |= parts | {"embedding": sum_by_id(inputs.T, d_values, self.vocab_size)}
        arrays = {name: frozen_array(arrays[name]) for name in self._arrays}
        return Gradients(float(losses.sum()) / count, frozen_array(losses), arrays)

    def _backward(
        self, traces: list[LayerTrace], d_values: Array, dropout: Sequence[Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """From the gradient of what the head read to that of the embeddings; the layers' on the way."""
        arrays = {}
        for number in reversed(range(self.config.layers)):
            if dropout is not None:
                d_values = d_values * _time_first(dropout[number], self.dtype)
            d_values, parts = backward(self._layers[number], traces[number], d_values)
            arrays |= {f"lstm.{number}.{part}": array for part, array in parts._asdict().items()}
        return d_values, arrays

    def _number(self, value: float) -> Any:
        return np.dtype(self.dtype).type(value)

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One Adam step in place, clipped first; returns the clip factor."""
        norm = 0.0 if clip is None else global_norm(gradients.arrays)
        factor = clip_factor(norm, clip)
        self._adam.update(self._arrays, gradients.arrays, rate, factor)
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Copies of weights, moments and update count."""
        return {name: array.copy() for name, array in self._state_arrays().items()} | {
            "adam.step": np.array(self._adam.step)
        }

    def _state_arrays(self) -> dict[str, Array]:
        first = {f"adam.m.{name}": array for name, array in self._adam.first.items()}
        second = {f"adam.v.{name}": array for name, array in self._adam.second.items()}
        return self._arrays | first | second

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back, or weights alone: moments then start at 0."""
        canonical.check(self.config, arrays)
        for name, mine in self._state_arrays().items():
            mine[...] = arrays.get(name, 0)
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
        values = self._embedding[check_ids(ids, self.vocab_size)] * self._number(scale)
        traces, top = self._forward(values, None)
        kernel, bias = self._head
        logits = top[-1] @ kernel + bias
        d_logits = np.zeros_like(logits)
        d_logits[target] = 1
        if against is not None:
            d_logits[against] -= 1
        value = float(d_logits @ logits)
        if of == "logp" and against is None:  # between two tokens the normaliser cancels
            powers = np.exp(logits - logits.max())
            value -= float(logits.max() + np.log(powers.sum()))
            d_logits -= powers / powers.sum()
        d_top = np.zeros_like(top)
        d_top[-1] = kernel @ d_logits
        return value, frozen_array(self._backward(traces, d_top, None)[0])


def _run(layer: Layer, values: Array, hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
    """Gates (T, 4H), cells and hidden states (T, H) of a layer that reads values (T, I)."""
    if len(values) > 1:
        trace = forward(layer, values, hidden, cell)
        return trace.gates, trace.cells[1:], trace.hidden[1:]
    fed = values[0] @ layer.kernel  # a stream's every step: nothing is kept for a backward pass
    fed += layer.bias
    gates, cell, _, hidden = step(layer, fed, hidden, cell)
    return gates[None], cell[None], hidden[None]


def _time_first(mask: Array, dtype: str) -> Array:
    return np.asarray(mask, dtype).swapaxes(0, 1)
