"""One LSTM layer in NumPy, forward and back through time, by hand.

Time stands first inside: (T, B, ·) for a batch, (T, ·) for a single text. No loss, no optimizer.
Formulas: Hochreiter and Schmidhuber (1997), forget gate of Gers et al. (2000), gates in the order i, f, g, o.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from minilm.records import Array

__all__ = ["Layer", "LayerTrace", "activate", "backward", "forward", "step"]


class Layer(NamedTuple):
    """The weights of a layer that maps I numbers to H."""

    kernel: Array  # (I, 4H)
    recurrent: Array  # (H, 4H)
    bias: Array  # (4H,)


class LayerTrace(NamedTuple):
    """What a layer did: everything that its backward pass needs."""

    inputs: Array  # (T, B, I)
    gates: Array  # (T, B, 4H) after activation
    cells: Array  # (T+1, B, H), the first before anything was read
    squashed: Array  # (T, B, H) = tanh(cells[1:])
    hidden: Array  # (T+1, B, H), the first before anything was read


def activate(z: Array) -> Array:
    """Turn pre-activations (..., 4H) into gates, in place: sigmoid for i, f, o, tanh for g.

    sigmoid(z) = 1/2 + tanh(z/2)/2, so one tanh over the whole array does all four, and nothing overflows.

    >>> activate(np.zeros(4)).tolist()
    [0.5, 0.5, 0.0, 0.5]
    """
    scale, shift = _halves(z.shape[-1] // 4, z.dtype.char)
    z *= scale
    np.tanh(z, out=z)
    z *= scale
    z += shift
    return z


@cache
def _halves(size: int, dtype: str) -> tuple[Array, Array]:
    """What the gates (4H,) are multiplied by before and after the tanh, and what is added: nothing for g."""
    scale, shift = np.repeat(np.array([[0.5, 0.5, 1.0, 0.5], [0.5, 0.5, 0.0, 0.5]], dtype), size, axis=1)
    return scale, shift


def step(layer: Layer, fed: Array, hidden: Array, cell: Array) -> tuple[Array, Array, Array, Array]:
    """One step: the gates (B, 4H), the new cell, its tanh and the new hidden state (B, H), or without B.

    fed: what the input gives to the gates, x W + b (B, 4H); hidden, cell: (B, H), those of the step before.
    """
    z = hidden @ layer.recurrent
    z += fed
    size = len(layer.recurrent)
    activate(z)
    i, f, g, o = (z[..., k * size : (k + 1) * size] for k in range(4))
    cell = f * cell
    cell += i * g
    squashed = np.tanh(cell)
    return z, cell, squashed, o * squashed


@np.errstate(over="ignore", invalid="ignore")  # an infinite pre-activation is a saturated gate
def forward(layer: Layer, inputs: Array, hidden: Array, cell: Array) -> LayerTrace:
    """Run a layer over inputs (T, B, I), or (T, I), from a hidden state and a cell (B, H), or (H,)."""
    steps, size = len(inputs), hidden.shape[-1]
    gates = inputs.reshape(-1, inputs.shape[-1]) @ layer.kernel
    gates += layer.bias
    gates = gates.reshape(steps, *hidden.shape[:-1], 4 * size)
    hiddens = np.empty((steps + 1, *hidden.shape), gates.dtype)
    cells, squashed = np.empty_like(hiddens), np.empty_like(hiddens[1:])
    hiddens[0], cells[0] = hidden, cell
    for t in range(steps):
        gates[t], cells[t + 1], squashed[t], hiddens[t + 1] = step(layer, gates[t], hiddens[t], cells[t])
    return LayerTrace(inputs, gates, cells, squashed, hiddens)


def backward(layer: Layer, trace: LayerTrace, d_hidden: Array) -> tuple[Array, Layer]:
    """The gradient of the inputs (T, B, I) and of the weights, from that of the hidden states (T, B, H).

    dz stands for the gradient of the pre-activations; the last step's goes first.
    """
    steps, size = len(d_hidden), d_hidden.shape[-1]
    i, f, g, o = (trace.gates[..., k * size : (k + 1) * size] for k in range(4))
    slope = trace.gates * (1 - trace.gates)  # of a sigmoid
    slope[..., 2 * size : 3 * size] = 1 - g * g  # of tanh
    into_cell = o * (1 - trace.squashed * trace.squashed)
    dz = np.empty_like(trace.gates)
    later_hidden = np.zeros_like(d_hidden[0])  # what the steps after t owe to its hidden state ...
    later_cell = np.zeros_like(d_hidden[0])  # ... and to its cell
    for t in reversed(range(steps)):
        dh = d_hidden[t] + later_hidden
        dc = later_cell + dh * into_cell[t]
        np.multiply(dc, g[t], out=dz[t, ..., :size])
        np.multiply(dc, trace.cells[t], out=dz[t, ..., size : 2 * size])
        np.multiply(dc, i[t], out=dz[t, ..., 2 * size : 3 * size])
        np.multiply(dh, trace.squashed[t], out=dz[t, ..., 3 * size :])
        dz[t] *= slope[t]
        later_hidden = dz[t] @ layer.recurrent.T
        later_cell = dc * f[t]
    flat = dz.reshape(-1, 4 * size)
    inputs, before = trace.inputs.reshape(len(flat), -1), trace.hidden[:-1].reshape(len(flat), size)
    weights = Layer(inputs.T @ flat, before.T @ flat, flat.sum(axis=0))
    return (flat @ layer.kernel.T).reshape(trace.inputs.shape), weights
