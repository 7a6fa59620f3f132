"""One LSTM layer in float64, and the ways in which a student's often differs from it.

The default Variant is the reference. It is written once more from the formulas (Hochreiter and Schmidhuber,
1997; forget gate of Gers et al., 2000), so that it shares no line with any backend:

    i, f, g, o = split(x_t W + h_{t-1} U + b)
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(c_t)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minilm.records import Array

__all__ = ["LETTERS", "REFERENCE", "Variant", "Weights", "run_cell"]

LETTERS = "ifgo"

# kernel (E, 4H), recurrent (H, 4H), bias (4H,)
Weights = tuple[Array, Array, Array]


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
}

# The new cell from i, f, g and the old cell; the first formula is the right one.
CELLS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "f*c + i*g": lambda i, f, g, c: f * c + i * g,
    "c + i*g": lambda i, f, g, c: c + i * g,
    "f*c + g": lambda i, f, g, c: f * c + g,
    "(1-i)*c + i*g": lambda i, f, g, c: (1 - i) * c + i * g,
    "(1-f)*c + i*g": lambda i, f, g, c: (1 - f) * c + i * g,
    "f*c + (1-f)*g": lambda i, f, g, c: f * c + (1 - f) * g,
    "f*(c + i*g)": lambda i, f, g, c: f * (c + i * g),
    "tanh(f*c + i*g)": lambda i, f, g, c: np.tanh(f * c + i * g),
}


@dataclass(frozen=True)
class Variant:
    """The reference with some of its choices changed; every default is the reference's choice.

    Attributes:
        order: the gate as which each block of 4H is read.
        blocks: False where the four gates of one unit are neighbours, instead of four blocks of H.
        kernel: "given", or "reshaped" where it was reshaped instead of transposed.
        recurrent: "given", "reshaped", or "transposed" where each block is transposed.
        bias: how often the bias is added.
        forget_bias: what is added to the forget gate besides the bias.
        gates: the activation of i, f and o, a key of ACTIVATIONS.
        g: the activation of the candidate g.
        o: the activation of the output gate; "sigmoid" means that of `gates`.
        output: the activation of the cell in h = o * tanh(c).
        cell: the formula of the new cell, a key of CELLS.
        carried: the parts of "hc" that the next step gets; the others are 0.
        swap: "answer" where c is returned before h; "step" where the next step gets them in that order too.
        late: True where h reads the cell before its update.
        peephole: True where the cell is added to the gates.
        backwards: True where the last input is read first.
        start: the value of h and c before the first step.
    """

    order: str = LETTERS
    blocks: bool = True
    kernel: str = "given"
    recurrent: str = "given"
    bias: float = 1.0
    forget_bias: float = 0.0
    gates: str = "sigmoid"
    g: str = "tanh"
    o: str = "sigmoid"
    output: str = "tanh"
    cell: str = "f*c + i*g"
    carried: str = "hc"
    swap: str = ""
    late: bool = False
    peephole: bool = False
    backwards: bool = False
    start: float = 0.0


REFERENCE = Variant()


def run_cell(inputs: Array, weights: Weights, variant: Variant = REFERENCE) -> dict[str, Array]:
    """Run inputs through one layer, from a state of 0.

    Args:
        inputs: (T, E).
        weights: kernel (E, 4H), recurrent (H, 4H) and bias (4H,).
        variant: the reference, or one changed version of it.

    Returns:
        i, f, g, o, cell and hidden, (T, H) each.
    """
    kernel, recurrent, bias = _rearrange(weights, variant)
    hidden = cell = np.full(recurrent.shape[0], variant.start)
    rows: dict[str, list[Array]] = {name: [] for name in (*LETTERS, "cell", "hidden")}
    for x in inputs[::-1] if variant.backwards else inputs:
        # z = x_t W + h_{t-1} U + b
        z = x @ kernel + hidden @ recurrent + variant.bias * bias
        gates = _open_gates(z, cell, variant)
        # c_t = f * c_{t-1} + i * g
        after = CELLS[variant.cell](gates["i"], gates["f"], gates["g"], cell)
        # h_t = o * tanh(c_t)
        activated = ACTIVATIONS[variant.output](cell if variant.late else after)
        answer = {"cell": after, "hidden": gates["o"] * activated}
        if variant.swap:
            answer = {"cell": answer["hidden"], "hidden": after}
        for name, value in (gates | answer).items():
            rows[name].append(value)
        state = answer if variant.swap != "answer" else {"cell": answer["hidden"], "hidden": answer["cell"]}
        hidden = state["hidden"] if "h" in variant.carried else np.zeros_like(hidden)
        cell = state["cell"] if "c" in variant.carried else np.zeros_like(cell)
    return {name: np.array(values) for name, values in rows.items()}


def _open_gates(z: Array, cell: Array, variant: Variant) -> dict[str, Array]:
    """Split z (4H,) into i, f, g and o, (H,) each, after their activations."""
    blocks = np.split(z, 4) if variant.blocks else list(z.reshape(-1, 4).T)
    parts = dict(zip(variant.order, blocks, strict=True))
    parts["f"] = parts["f"] + variant.forget_bias
    if variant.peephole:
        parts |= {letter: parts[letter] + cell for letter in "ifo"}
    o = variant.o if variant.o != "sigmoid" else variant.gates
    names = {"i": variant.gates, "f": variant.gates, "g": variant.g, "o": o}
    return {letter: ACTIVATIONS[name](parts[letter]) for letter, name in names.items()}


def _rearrange(weights: Weights, variant: Variant) -> Weights:
    """Return the weights as a student's wrong layout would read them."""
    kernel, recurrent, bias = weights
    if variant.kernel == "reshaped":
        kernel = kernel.reshape(kernel.shape[::-1]).T
    if variant.recurrent == "reshaped":
        recurrent = recurrent.reshape(recurrent.shape[::-1]).T
    if variant.recurrent == "transposed":
        recurrent = np.concatenate([block.T for block in np.split(recurrent, 4, axis=1)], axis=1)
    return kernel, recurrent, bias
