"""The LSTM language model in NumPy, forward and backward by hand: the reference for the other backends.

Begin here. Nothing is automatic: every derivative is written out, with its equation above the line.

The model, and where each part is:

    x_t = E[id_t]                            embedding       this file
    h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})   every layer     layer.py: lstm_step, forward_through_time
    y_t = h_t * m_t                          dropout         this file: _forward (m_t is 1 outside training)
    logits_t = y_t W + b                     head            loss.py: compute_logits
    p_t = softmax(logits_t)                  probabilities   loss.py: softmax_cross_entropy
    L = sum of -ln p_t[target_t] / N         loss            loss.py: softmax_cross_entropy

One step of training, and where each part is:

    dL/dlogits, dL/dW, dL/db, dL/dy          head            loss.py: logits_gradient, head_gradients
    gates, cells, hidden states              every layer     layer.py: backward_through_time
    dL/dE                                    embedding       loss.py: sum_by_id
    clip, then Adam                          update          adam.py: clip_factor, Adam.update

Letters: B rows of a batch, T steps, V vocabulary, E embedding, H hidden. Callers give batches as (B, T);
inside, the step is the first axis, (T, B), because the layers run step by step. `d_x` is dL/dx. The four
gates lie side by side in 4H columns, in the order i, f, g, o (see layer.py).

A number that grows too large becomes infinite without a warning, as in the frameworks: the training loop
checks for it and names the step.
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
from minilm.backends.numpy.layer import (
    Layer,
    LayerTrace,
    backward_through_time,
    forward_through_time,
    lstm_step,
)
from minilm.backends.numpy.loss import (
    compute_logits,
    head_gradients,
    logits_gradient,
    softmax_cross_entropy,
    sum_by_id,
)
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
    """Create the model with the given weights, or with the initial ones of `config.seed`.

    Args:
        config: the sizes of the model.
        dtype: "float32" or "float64".
        device: "cpu"; NumPy has no other.
        weights: arrays by canonical name; None draws the initial weights.
    """
    if device != "cpu":
        raise MinilmError(f"Backend numpy runs on the cpu only, got device {device!r}")
    check_config(config)
    check_dtype(dtype)
    weights = canonical.initial_weights(config, dtype) if weights is None else weights
    canonical.check_weights(config, weights)
    return NumpyLSTM(
        config, {name: np.array(weights[name], dtype) for name in canonical.weight_shapes(config)}
    )


class NumpyLSTM:
    """An LSTM language model in NumPy; it satisfies Trainable, Inspectable and Attributable.

    Attributes:
        config: the sizes of the model and the constants of Adam.
        dtype: "float32" or "float64", for all arrays.
    """

    name = "numpy"
    device = "cpu"
    context_size = None

    def __init__(self, config: ModelConfig, arrays: dict[str, Array]) -> None:
        """Take over the arrays, by canonical name; every update changes them in place."""
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

    # Reading: ids to logits, for generation

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids and return their logits; see LanguageModel.

        Args:
            ids: T token ids.
            state: one (hidden (H,), cell (H,)) for each layer, from an earlier reading; None starts at 0.
            rows: "last" for the logits after the last id (1, V), "all" for those after every id (T, V).
            inner: names of arrays to return: "hidden.0", "cell.0", "gates.0", and so on for other layers.
        """
        want_all_rows, inner = check_rows(rows), check_inner(inner, self.config.layers)
        # x_t = E[id_t]
        embeddings = values = self._embedding[check_ids(ids, self.vocab_size)]  # (T, E)
        new_state, arrays_inside = [], {}
        for number, (layer, (hidden, cell)) in enumerate(
            zip(self._layers, self._start_state(state), strict=True)
        ):
            gates, cells, values = _read_layer(layer, values, hidden, cell)
            new_state.append((values[-1], cells[-1]))
            if inner:
                named = {"hidden": values, "cell": cells, "gates": gates}
                arrays_inside.update({f"{kind}.{number}": array for kind, array in named.items()})
        logits = compute_logits(*self._head, values if want_all_rows else values[-1:])  # (T, V) or (1, V)
        asked = {name: frozen_array(arrays_inside[name]) for name in inner}
        return Reading(frozen_array(logits), frozen_array(embeddings), tuple(new_state), asked)

    def _start_state(self, state: Any) -> Any:
        if state is not None:
            check_state(state, self.config.layers, (self.config.hidden_size,))
            return state
        zeros = np.zeros(self.config.hidden_size, self.dtype)
        return [(zeros, zeros)] * self.config.layers

    # Training: loss, gradients, update

    def _forward(self, embeddings: Array, dropout: Sequence[Array] | None) -> tuple[list[LayerTrace], Array]:
        """Run all layers from a state of 0.

        Args:
            embeddings: x (T, B, E), or (T, E).
            dropout: a mask (B, T, H) for each layer, or None.

        Returns:
            A trace for each layer, and what the head reads (T, B, H).
        """
        traces = []
        values = embeddings
        zeros = np.zeros((*values.shape[1:-1], self.config.hidden_size), self.dtype)
        for number, layer in enumerate(self._layers):
            traces.append(forward_through_time(layer, values, zeros, zeros))
            values = traces[-1].hidden[1:]
            if dropout is not None:
                # y_t = h_t * m_t, with m_t = 0 or 1 / (1 - dropout)
                values = values * _time_first(dropout[number], self.dtype)
        return traces, values

    def _backward(
        self, traces: list[LayerTrace], d_values: Array, dropout: Sequence[Array] | None
    ) -> tuple[Array, dict[str, Array]]:
        """Go back through all layers, the last one first.

        Args:
            traces: what `_forward` returned.
            d_values: dL/dy (T, B, H) of what the head read.
            dropout: the masks that `_forward` got.

        Returns:
            dL/dx of the embeddings (T, B, E), and the gradients of the layers' weights by canonical name.
        """
        arrays = {}
        for number in reversed(range(self.config.layers)):
            if dropout is not None:
                # dL/dh_t = dL/dy_t * m_t
                d_values = d_values * _time_first(dropout[number], self.dtype)
            d_values, d_layer = backward_through_time(self._layers[number], traces[number], d_values)
            arrays |= {f"lstm.{number}.{part}": array for part, array in d_layer._asdict().items()}
        return d_values, arrays

    @np.errstate(over="ignore", invalid="ignore")
    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target (B, T) in nats, 0 where the mask is 0; forward only."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        _, top = self._forward(self._embedding[inputs.T], None)
        losses, _ = softmax_cross_entropy(compute_logits(*self._head, top), targets.T)
        return frozen_array(losses.T * mask.astype(self.dtype))

    @np.errstate(over="ignore", invalid="ignore")
    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Return the loss and the gradient of every weight; see Trainable for the arguments."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        mask = mask.astype(self.dtype)
        # Forward: embedding, layers, head, loss
        traces, top = self._forward(self._embedding[inputs.T], dropout)
        losses, probabilities = softmax_cross_entropy(compute_logits(*self._head, top), targets.T)
        losses = losses.T * mask
        # Backward, in the opposite order. L = sum of mask * loss / N, so each loss counts mask / N in it.
        d_logits = logits_gradient(probabilities, targets.T, mask.T / self._number(count))
        d_top, d_kernel, d_bias = head_gradients(self._head[0], top, d_logits)
        d_embeddings, arrays = self._backward(traces, d_top, dropout)
        d_table = sum_by_id(inputs.T, d_embeddings, self.vocab_size)
        arrays |= {"head.kernel": d_kernel, "head.bias": d_bias, "embedding": d_table}
        arrays = {name: frozen_array(arrays[name]) for name in self._arrays}
        # L = sum of mask * loss / N
        return Gradients(float(losses.sum()) / count, frozen_array(losses), arrays)

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """Make one Adam step in place, with the gradients clipped first; return the clip factor."""
        norm = 0.0 if clip is None else global_norm(gradients.arrays)
        factor = clip_factor(norm, clip)
        self._adam.update(self._arrays, gradients.arrays, rate, factor)
        return factor

    # Attribution: the gradient at the embeddings

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """Return a score of the token after `ids`, and its gradient (T, E) at the embeddings.

        Args:
            ids: T token ids.
            target: the token that is scored.
            against: a second token, whose score is subtracted; None for none.
            scale: the factor that the embeddings are multiplied by before the model reads them.
            of: "logp" for the log-probability, "logit" for the logit.
        """
        check_against(target, against, of, self.vocab_size)
        embeddings = self._embedding[check_ids(ids, self.vocab_size)] * self._number(scale)
        traces, top = self._forward(embeddings, None)
        kernel, bias = self._head
        logits = top[-1] @ kernel + bias
        # score = logit[target] - logit[against], so dscore/dlogits is 1 at the target and -1 at the other
        d_logits = np.zeros_like(logits)
        d_logits[target] = 1
        if against is not None:
            d_logits[against] -= 1
        score = float(d_logits @ logits)
        # ln p[a] = logit[a] - ln Z with Z = sum of e^logit; between two tokens ln Z cancels
        if of == "logp" and against is None:
            powers = np.exp(logits - logits.max())
            score -= float(logits.max() + np.log(powers.sum()))
            # d(ln Z)/dlogits = p
            d_logits -= powers / powers.sum()
        # Only the last step reaches the score: dscore/dh_T = W dscore/dlogits
        d_top = np.zeros_like(top)
        d_top[-1] = kernel @ d_logits
        d_embeddings, _ = self._backward(traces, d_top, None)
        return score, frozen_array(d_embeddings)

    # Weights and snapshots

    def embedding_table(self) -> Array:
        """Return all embeddings (V, E), a read-only view."""
        return frozen_array(self._embedding)

    def head(self) -> tuple[Array, Array]:
        """Return kernel (H, V) and bias (V,) of the head, read-only views."""
        return frozen_array(self._head[0]), frozen_array(self._head[1])

    def weights(self) -> dict[str, Array]:
        """Return read-only views of the arrays by canonical name, valid until the next update or restore."""
        return {name: frozen_array(array) for name, array in self._arrays.items()}

    def snapshot(self) -> dict[str, Array]:
        """Return copies of the weights, of Adam's two averages and of its number of updates."""
        return {name: array.copy() for name, array in self._weights_and_averages().items()} | {
            "adam.step": np.array(self._adam.step)
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back, or weights alone: Adam's averages then start at 0."""
        canonical.check_weights(self.config, arrays)
        for name, array in self._weights_and_averages().items():
            array[...] = arrays.get(name, 0)
        self._adam.step = int(arrays.get("adam.step", 0))

    def _weights_and_averages(self) -> dict[str, Array]:
        first = {f"adam.m.{name}": array for name, array in self._adam.first.items()}
        second = {f"adam.v.{name}": array for name, array in self._adam.second.items()}
        return self._arrays | first | second

    def _number(self, value: float) -> Any:
        """Return a number in the model's own dtype, so that a float64 does not widen float32 arrays."""
        return np.dtype(self.dtype).type(value)


def _read_layer(layer: Layer, values: Array, hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
    """Return gates (T, 4H), cells and hidden states (T, H) of a layer that reads values (T, I)."""
    if len(values) > 1:
        trace = forward_through_time(layer, values, hidden, cell)
        return trace.gates, trace.cells[1:], trace.hidden[1:]
    # Every step of a generation reads one id: nothing is kept for a backward pass.
    from_input = values[0] @ layer.kernel
    from_input += layer.bias
    gates, cell, _, hidden = lstm_step(layer, from_input, hidden, cell)
    return gates[None], cell[None], hidden[None]


def _time_first(mask: Array, dtype: str) -> Array:
    """Return a mask (B, T, H) as (T, B, H)."""
    return np.asarray(mask, dtype).swapaxes(0, 1)
