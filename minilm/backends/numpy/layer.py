"""One LSTM layer in NumPy: forward through time, and back through time with every derivative written out.

Map of this file:

    Layer                    the weights: kernel W, recurrent U, bias b
    LayerTrace               what the forward pass keeps for the backward pass
    activate_gates           sigmoid for i, f, o and tanh for g
    lstm_step                one step forward: gates, cell, output
    forward_through_time     all steps, the first one first
    backward_through_time    all steps, the last one first: the gradients of gates, cell, output
    _sum_over_steps          from the gradients of all steps to those of W, U, b and of the inputs

The four gates lie side by side in one array of 4H columns (H numbers for each gate):

    columns    0 .. H         H .. 2H         2H .. 3H         3H .. 4H
    gate       i (input)      f (forget)      g (candidate)    o (output)

Letters: B rows of a batch, T steps, I numbers of an input, H numbers of a hidden state. The step is the first
axis: (T, B, ·) for a batch, (T, ·) for a single text. `d_x` is dL/dx, the gradient of the loss L at x, and
has the shape of x. `*` between two arrays multiplies number by number.

Source: Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from minilm.records import Array

__all__ = [
    "Layer",
    "LayerTrace",
    "activate_gates",
    "backward_through_time",
    "forward_through_time",
    "lstm_step",
    "split_gates",
]


class Layer(NamedTuple):
    """The weights of a layer that maps I numbers to H.

    Attributes:
        kernel: W (I, 4H), from the input to the gates.
        recurrent: U (H, 4H), from the previous hidden state to the gates.
        bias: b (4H,).
    """

    kernel: Array
    recurrent: Array
    bias: Array


class LayerTrace(NamedTuple):
    """The arrays that the forward pass of a layer keeps for its backward pass.

    `cells[t]` and `hidden[t]` are the values before step t, so `cells[t + 1]` is c_t and `cells[t]` is
    c_{t-1}.

    Attributes:
        inputs: x (T, B, I).
        gates: i, f, g, o after activation (T, B, 4H).
        cells: c (T+1, B, H), the first one from before the first step.
        tanh_cells: tanh(c_t) (T, B, H).
        hidden: h (T+1, B, H), the first one from before the first step.
    """

    inputs: Array
    gates: Array
    cells: Array
    tanh_cells: Array
    hidden: Array


def split_gates(z: Array) -> tuple[Array, Array, Array, Array]:
    """Return views of the four gates i, f, g, o, each (..., H), of an array (..., 4H).

    >>> [gate.tolist() for gate in split_gates(np.arange(8))]
    [[0, 1], [2, 3], [4, 5], [6, 7]]
    """
    size = z.shape[-1] // 4
    return z[..., :size], z[..., size : 2 * size], z[..., 2 * size : 3 * size], z[..., 3 * size :]


def activate_gates(z: Array) -> Array:
    """Turn pre-activations into gates, in place: sigmoid for i, f, o and tanh for g.

    >>> activate_gates(np.zeros(4)).tolist()
    [0.5, 0.5, 0.0, 0.5]

    Args:
        z: pre-activations (..., 4H); overwritten.

    Returns:
        The same array: i, f, o between 0 and 1, g between -1 and 1.
    """
    scale, shift = _scale_and_shift(z.shape[-1] // 4, z.dtype.char)
    # sigmoid(z) = 1 / (1 + e^-z) = tanh(z / 2) / 2 + 1/2, so one tanh over all 4H columns does every gate,
    # and a large z does not overflow. For g: scale 1 and shift 0 leave tanh(z).
    z *= scale
    np.tanh(z, out=z)
    z *= scale
    z += shift
    return z


@cache
def _scale_and_shift(size: int, dtype: str) -> tuple[Array, Array]:
    """Return the two rows (4H,) of `activate_gates`: 1/2 and 1/2 for i, f, o; 1 and 0 for g."""
    scale, shift = np.repeat(np.array([[0.5, 0.5, 1.0, 0.5], [0.5, 0.5, 0.0, 0.5]], dtype), size, axis=1)
    return scale, shift


def lstm_step(
    layer: Layer, from_input: Array, hidden: Array, cell: Array
) -> tuple[Array, Array, Array, Array]:
    """Run one step of the layer.

    Args:
        layer: the weights.
        from_input: what the input gives to the gates, x_t W + b (B, 4H), or (4H,) for a single text.
        hidden: h_{t-1} (B, H), or (H,).
        cell: c_{t-1} (B, H), or (H,).

    Returns:
        The gates (B, 4H), the cell c_t, tanh(c_t) and the hidden state h_t, each (B, H).
    """
    # z_t = x_t W + h_{t-1} U + b
    z = hidden @ layer.recurrent
    z += from_input
    # i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
    gates = activate_gates(z)
    i, f, g, o = split_gates(gates)
    # c_t = f * c_{t-1} + i * g
    cell = f * cell
    cell += i * g
    # h_t = o * tanh(c_t)
    tanh_cell = np.tanh(cell)
    return gates, cell, tanh_cell, o * tanh_cell


# A pre-activation that overflows to infinity is a saturated gate (0, 1 or -1), not an error.
@np.errstate(over="ignore", invalid="ignore")
def forward_through_time(layer: Layer, inputs: Array, hidden: Array, cell: Array) -> LayerTrace:
    """Run the layer over all steps.

    Args:
        layer: the weights.
        inputs: x (T, B, I), or (T, I) for a single text.
        hidden: the hidden state before the first step (B, H), or (H,).
        cell: the cell before the first step (B, H), or (H,).

    Returns:
        Gates, cells and hidden states of every step.
    """
    steps, size = len(inputs), hidden.shape[-1]
    # x_t W + b needs no earlier step: one product does it for all T steps.
    gates = inputs.reshape(-1, inputs.shape[-1]) @ layer.kernel
    gates += layer.bias
    gates = gates.reshape(steps, *hidden.shape[:-1], 4 * size)
    hiddens = np.empty((steps + 1, *hidden.shape), gates.dtype)
    cells, tanh_cells = np.empty_like(hiddens), np.empty_like(hiddens[1:])
    hiddens[0], cells[0] = hidden, cell
    for t in range(steps):
        gates[t], cells[t + 1], tanh_cells[t], hiddens[t + 1] = lstm_step(
            layer, gates[t], hiddens[t], cells[t]
        )
    return LayerTrace(inputs, gates, cells, tanh_cells, hiddens)


def backward_through_time(layer: Layer, trace: LayerTrace, d_hidden: Array) -> tuple[Array, Layer]:
    """Return the gradients of a layer: the chain rule from the last step back to the first.

    A hidden state h_t reaches the loss in two ways: through the layer above at step t, and through the gates
    of step t+1. Its gradient is the sum of both. The same holds for a cell c_t: through h_t, and through
    c_{t+1}.

    Args:
        layer: the weights.
        trace: what `forward_through_time` returned.
        d_hidden: dL/dh_t (T, B, H), as far as it comes from the layer above.

    Returns:
        dL/dx (T, B, I), and the gradients of kernel, recurrent and bias as a Layer.
    """
    i, f, g, o = split_gates(trace.gates)
    d_z = np.empty_like(trace.gates)
    d_i, d_f, d_g, d_o = split_gates(d_z)
    slopes = _gate_slopes(trace.gates)
    # dh_t/dc_t = o * (1 - tanh(c_t)^2), because h_t = o * tanh(c_t) and tanh' = 1 - tanh^2
    cell_slopes = o * (1 - trace.tanh_cells * trace.tanh_cells)
    # After the last step there is no step t+1: both gradients from there are 0.
    d_hidden_from_next = np.zeros_like(d_hidden[0])
    d_cell_from_next = np.zeros_like(d_hidden[0])
    for t in reversed(range(len(d_hidden))):
        # dL/dh_t = (from the layer above) + (from step t+1)
        dh = d_hidden[t] + d_hidden_from_next
        # dL/dc_t = (from step t+1) + dL/dh_t * dh_t/dc_t
        dc = d_cell_from_next + dh * cell_slopes[t]
        # Input gate, because c_t = f * c_{t-1} + i * g:        dL/di = dL/dc_t * g
        np.multiply(dc, g[t], out=d_i[t])
        # Forget gate (trace.cells[t] is c_{t-1}):              dL/df = dL/dc_t * c_{t-1}
        np.multiply(dc, trace.cells[t], out=d_f[t])
        # Candidate:                                            dL/dg = dL/dc_t * i
        np.multiply(dc, i[t], out=d_g[t])
        # Output gate, because h_t = o * tanh(c_t):             dL/do = dL/dh_t * tanh(c_t)
        np.multiply(dh, trace.tanh_cells[t], out=d_o[t])
        # Through each gate's own function:                     dL/dz = dL/dgate * dgate/dz
        d_z[t] *= slopes[t]
        # To step t-1, because z_t holds h_{t-1} U:             dL/dh_{t-1} = dL/dz_t U^T
        d_hidden_from_next = d_z[t] @ layer.recurrent.T
        # To step t-1, because c_t holds f * c_{t-1}:           dL/dc_{t-1} = dL/dc_t * f
        d_cell_from_next = dc * f[t]
    return _sum_over_steps(layer, trace, d_z)


def _gate_slopes(gates: Array) -> Array:
    """Return dgate/dz (T, B, 4H): how much each gate changes with its pre-activation."""
    # sigmoid'(z) = s * (1 - s) with s = sigmoid(z), for i, f, o
    slopes = gates * (1 - gates)
    # tanh'(z) = 1 - g^2 with g = tanh(z), for the candidate
    g, slope_of_g = split_gates(gates)[2], split_gates(slopes)[2]
    slope_of_g[...] = 1 - g * g
    return slopes


def _sum_over_steps(layer: Layer, trace: LayerTrace, d_z: Array) -> tuple[Array, Layer]:
    """Return dL/dx (T, B, I) and the gradients of the weights, from dL/dz (T, B, 4H) of every step."""
    # All steps share W, U and b, so their gradients are sums over steps and rows: one product over T·B rows.
    d_z = d_z.reshape(-1, d_z.shape[-1])
    inputs = trace.inputs.reshape(len(d_z), -1)
    hidden_before = trace.hidden[:-1].reshape(len(d_z), -1)
    weights = Layer(
        # dL/dW = sum over t of x_t^T dL/dz_t
        kernel=inputs.T @ d_z,
        # dL/dU = sum over t of h_{t-1}^T dL/dz_t
        recurrent=hidden_before.T @ d_z,
        # dL/db = sum over t of dL/dz_t
        bias=d_z.sum(axis=0),
    )
    # dL/dx_t = dL/dz_t W^T
    return (d_z @ layer.kernel.T).reshape(trace.inputs.shape), weights
