"""One LSTM layer in float64, and the ways in which a student's often differs from it.

The default Variant (variant.py) is the reference. It is written once more from the formulas (Hochreiter and
Schmidhuber, 1997; forget gate of Gers et al., 2000), so that it shares no line with any backend:

    i, f, g, o = split(x_t W + h_{t-1} U + b)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from minilm.comparison.student.layouts import Weights, rearrange_weights
from minilm.comparison.student.variant import LETTERS, REFERENCE, Variant
from minilm.records import Array

__all__ = ["ACTIVATIONS", "run_cell"]


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _softmax(z: Array) -> Array:
    weights = np.exp(z - z.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _normalize(z: Array) -> Array:
    return (z - z.mean(axis=-1, keepdims=True)) / np.sqrt(z.var(axis=-1, keepdims=True) + 1e-5)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "softmax": _softmax,
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
    "hard_sigmoid_0.2": lambda z: np.clip(0.2 * z + 0.5, 0, 1),
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "softsign": lambda z: z / (1 + np.abs(z)),
    "sigmoid(-z)": lambda z: _sigmoid(-z),
    "sigmoid(2z)": lambda z: _sigmoid(2 * z),
    "sigmoid_twice": lambda z: _sigmoid(_sigmoid(z)),
    "sigmoid_slope": lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
    "tanh_twice": lambda z: np.tanh(np.tanh(z)),
    "tanh_slope": lambda z: 1 - np.tanh(z) ** 2,
    "tanh(sigmoid)": lambda z: np.tanh(_sigmoid(z)),
    "normalized": lambda c: np.tanh(_normalize(c)),
}

# The new cell from i, f, g, the old cell and the old hidden state; the first formula is the right one.
CELLS: dict[str, Callable[[Array, Array, Array, Array, Array], Array]] = {
    "f*c + i*g": lambda i, f, g, c, h: f * c + i * g,
    "c + i*g": lambda i, f, g, c, h: c + i * g,
    "i*g": lambda i, f, g, c, h: i * g,
    "f*c": lambda i, f, g, c, h: f * c,
    "f*c + g": lambda i, f, g, c, h: f * c + g,
    "f*c + i": lambda i, f, g, c, h: f * c + i,
    "f*c - i*g": lambda i, f, g, c, h: f * c - i * g,
    "f*c + i + g": lambda i, f, g, c, h: f * c + i + g,
    "f + i*g": lambda i, f, g, c, h: f + i * g,
    "f*h + i*g": lambda i, f, g, c, h: f * h + i * g,
    "f*c + i*g + h": lambda i, f, g, c, h: f * c + i * g + h,
    "(1-i)*c + i*g": lambda i, f, g, c, h: (1 - i) * c + i * g,
    "(1-f)*c + i*g": lambda i, f, g, c, h: (1 - f) * c + i * g,
    "f*c + (1-f)*g": lambda i, f, g, c, h: f * c + (1 - f) * g,
    "f*(c + i*g)": lambda i, f, g, c, h: f * (c + i * g),
    "tanh(f*c + i*g)": lambda i, f, g, c, h: np.tanh(f * c + i * g),
    "normalized": lambda i, f, g, c, h: _normalize(f * c + i * g),
}

# The new hidden state from o, the activated cell and the cell; the first formula is the right one.
HIDDENS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "o*tanh(c)": lambda o, activated, c: o * activated,
    "tanh(c)": lambda o, activated, c: activated,
    "o": lambda o, activated, c: o,
    "o + tanh(c)": lambda o, activated, c: o + activated,
    "tanh(o*c)": lambda o, activated, c: np.tanh(o * c),
    "tanh(o)*c": lambda o, activated, c: np.tanh(o) * c,
    "normalized": lambda o, activated, c: _normalize(o * activated),
}


def run_cell(
    inputs: Array, weights: Weights, variant: Variant = REFERENCE, skipped: Array | None = None
) -> dict[str, Array]:
    """Run inputs through one layer, from a state of 0.

    A variant may mix the rows of a batch. "from row to row": a row begins with the state in which the row
    before it ended. "batch first": axis 0 is read as the time. "view input", "view output", "view both":
    reshape in the place of transpose. "zero": row 0 is 0. "first": every row is row 0.

    Args:
        inputs: (B, T, E).
        weights: kernel (E, 4H), recurrent (H, 4H) and bias (4H,).
        variant: the reference, or one changed version of it.
        skipped: True at the steps (B, T) that leave the state as it is; None skips no step.

    Returns:
        i, f, g, o, cell and hidden, (B, T, H) each.
    """
    if variant.rows == "apart":
        return _run_rows(inputs, weights, variant, skipped)
    rows, steps, _ = inputs.shape
    single = replace(variant, rows="apart")
    if variant.rows == "from row to row":
        found = run_cell(inputs.reshape(1, rows * steps, -1), weights, single)
        return {name: array.reshape(rows, steps, -1) for name, array in found.items()}
    if variant.rows == "batch first":
        found = run_cell(inputs.swapaxes(0, 1), weights, single)
        return {name: array.swapaxes(0, 1) for name, array in found.items()}
    if variant.rows in ("view input", "view both"):
        inputs = inputs.reshape(steps, rows, -1).swapaxes(0, 1)
    found = run_cell(inputs, weights, single)
    if variant.rows in ("view output", "view both"):
        return {name: array.swapaxes(0, 1).reshape(rows, steps, -1) for name, array in found.items()}
    if variant.rows == "zero":
        return {name: np.concatenate([0 * array[:1], array[1:]]) for name, array in found.items()}
    if variant.rows == "first":
        return {name: np.repeat(array[:1], rows, axis=0) for name, array in found.items()}
    return found


def _run_rows(inputs: Array, weights: Weights, variant: Variant, skipped: Array | None) -> dict[str, Array]:
    """Run every row of inputs (B, T, E) by itself."""
    arranged = rearrange_weights(weights, variant)
    zero = np.zeros((len(inputs), len(arranged[1])))
    hidden = zero + variant.start * ("h" in variant.start_of)
    cell = zero + variant.start * ("c" in variant.start_of)
    found: dict[str, list[Array]] = {name: [] for name in (*LETTERS, "cell", "hidden")}
    for t in range(inputs.shape[1])[:: -1 if variant.backwards else 1]:
        if variant.swap == "arguments":
            hidden, cell = cell, hidden
        step = _run_step(inputs[:, t], hidden, cell, arranged, variant)
        if skipped is not None:
            keep = skipped[:, t, None]
            step |= {
                "hidden": np.where(keep, hidden, step["hidden"]),
                "cell": np.where(keep, cell, step["cell"]),
            }
        if variant.swap in ("answer", "step"):
            step |= {"cell": step["hidden"], "hidden": step["cell"]}
        for name, value in step.items():
            found[name].append(value)
        if variant.swap == "answer":
            step |= {"cell": step["hidden"], "hidden": step["cell"]}
        hidden = step["hidden"] if "h" in variant.carried else zero
        cell = step["cell"] if "c" in variant.carried else zero
    arrays = {name: np.array(values)[:: -1 if variant.flipped else 1] for name, values in found.items()}
    if variant.shift:
        arrays["hidden"] = np.concatenate([zero[None], arrays["hidden"][:-1]])
    return {name: array.swapaxes(0, 1) for name, array in arrays.items()}


def _run_step(x: Array, hidden: Array, cell: Array, weights: Weights, variant: Variant) -> dict[str, Array]:
    """Return i, f, g, o, the new cell and the new hidden state, (B, H) each, for x (B, E)."""
    gates = _open_gates(x, hidden, cell, weights, variant)
    # c_t = f * c_{t-1} + i * g
    after = CELLS[variant.cell](gates["i"], gates["f"], gates["g"], cell, hidden)
    if variant.cell_clip < np.inf:
        after = np.clip(after, -variant.cell_clip, variant.cell_clip)
    if variant.o_reads == "tanh(c)":
        gates["o"] = _open_gates(x, np.tanh(after), cell, weights, variant)["o"]
    if "O" in variant.peephole:
        z = _add_up(x, hidden, cell, weights, variant)
        gates["o"] = ACTIVATIONS[variant.o or variant.gates](_split(z, variant)["o"] + after)
    # h_t = o * tanh(c_t)
    seen = cell if variant.late else after
    activated = ACTIVATIONS[variant.output](seen)
    return gates | {"cell": after, "hidden": HIDDENS[variant.hidden](gates["o"], activated, seen)}


def _add_up(x: Array, hidden: Array, cell: Array, weights: Weights, variant: Variant) -> Array:
    """Return z = x_t W + h_{t-1} U + b, (B, 4H)."""
    kernel, recurrent, bias = weights
    if variant.recurrent_reads != "h":
        hidden = cell if variant.recurrent_reads == "c" else hidden + cell
    if variant.joined == "xh":
        z = x @ kernel + hidden @ recurrent
    elif variant.joined == "hx":
        z = np.concatenate([hidden, x], axis=-1) @ np.concatenate([kernel, recurrent])
    else:
        z = np.concatenate([x, hidden], axis=-1) @ np.concatenate([recurrent, kernel])
    z = z if variant.bias_after else z + variant.bias * bias
    return _normalize(z) if variant.norm == "z" else z


def _split(z: Array, variant: Variant) -> dict[str, Array]:
    """Return the blocks of z (B, 4H) by the letter of the gate as which each is read."""
    size = z.shape[-1] // 4
    # Four blocks of H, or H groups of four.
    blocks = (
        [z[:, k * size : (k + 1) * size] for k in range(4)]
        if variant.blocks
        else [z[:, k::4] for k in range(4)]
    )
    return dict(zip(variant.order if variant.ordered == "all" else LETTERS, blocks, strict=True))


def _open_gates(x: Array, hidden: Array, cell: Array, weights: Weights, variant: Variant) -> dict[str, Array]:
    """Return i, f, g and o, (B, H) each, after their activations."""
    parts = _split(_add_up(x, hidden, cell, weights, variant), variant)
    if variant.norm == "gates":
        parts = {letter: _normalize(part) for letter, part in parts.items()}
    parts["f"] = parts["f"] + variant.forget_bias
    parts |= {letter: parts[letter] + cell for letter in variant.peephole if letter in parts}
    if variant.clip < np.inf:
        parts = {letter: np.clip(part, -variant.clip, variant.clip) for letter, part in parts.items()}
    gates = variant.gates
    names = {"i": variant.i or gates, "f": variant.f or gates, "g": variant.g, "o": variant.o or gates}
    opened = {letter: ACTIVATIONS[name](parts[letter]) for letter, name in names.items()}
    if variant.bias_after:
        biases = _split(weights[2][None], variant)
        return {letter: value + variant.bias * biases[letter] for letter, value in opened.items()}
    return opened
