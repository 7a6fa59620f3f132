"""One LSTM layer in float64, and the ways in which a student's often differs from it.

The default Variant is the reference, written out once more from the formulas (Hochreiter and Schmidhuber,
1997; forget gate of Gers et al., 2000), so that it shares no line with any backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minilm.records import Array

__all__ = ["LETTERS", "Variant", "Weights", "run"]

LETTERS = "ifgo"

Weights = tuple[Array, Array, Array]  # kernel (E, 4H), recurrent (H, 4H), bias (4H,)


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "hard_sigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
}

CELLS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {  # of i, f, g and the cell before
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
    """The reference with some of its choices changed; every field's default is the reference's.

    order: the gate that each block of 4H is read as; blocks: False, gates of a unit side by side;
    kernel, recurrent: "given", "reshaped" (instead of transposed) or "transposed" (block by block);
    bias: how often it is added; forget_bias: what is added to the forget gate's; gates, g, o, output: names
    of ACTIVATIONS; cell: of CELLS; carried: which of "hc" the next step gets; swap: "" or "answer" (cell and
    hidden returned in the wrong order) or "step" (and so handed on); late: h reads the cell before its
    update; peephole: the cell is added to the gates; backwards: the last input first; start: of h and c.
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


def run(inputs: Array, weights: Weights, variant: Variant = REFERENCE) -> dict[str, Array]:
    """Inputs (T, E) through a layer that starts at nothing: i, f, g, o, cell and hidden, (T, H) each."""
    kernel, recurrent, bias = _laid_out(weights, variant)
    hidden = cell = np.full(recurrent.shape[0], variant.start)
    found: dict[str, list[Array]] = {name: [] for name in (*LETTERS, "cell", "hidden")}
    for x in inputs[::-1] if variant.backwards else inputs:
        z = x @ kernel + hidden @ recurrent + variant.bias * bias
        gates = _gates(z, cell, variant)
        after = CELLS[variant.cell](gates["i"], gates["f"], gates["g"], cell)
        shown = ACTIVATIONS[variant.output](cell if variant.late else after)
        answer = {"cell": after, "hidden": gates["o"] * shown}
        if variant.swap:
            answer = {"cell": answer["hidden"], "hidden": after}
        for name, value in (gates | answer).items():
            found[name].append(value)
        kept = answer if variant.swap != "answer" else {"cell": answer["hidden"], "hidden": answer["cell"]}
        hidden = kept["hidden"] if "h" in variant.carried else np.zeros_like(hidden)
        cell = kept["cell"] if "c" in variant.carried else np.zeros_like(cell)
    return {name: np.array(rows) for name, rows in found.items()}


def _gates(z: Array, cell: Array, variant: Variant) -> dict[str, Array]:
    blocks = np.split(z, 4) if variant.blocks else list(z.reshape(-1, 4).T)
    parts = dict(zip(variant.order, blocks, strict=True))
    parts["f"] = parts["f"] + variant.forget_bias
    if variant.peephole:
        parts |= {letter: parts[letter] + cell for letter in "ifo"}
    o = variant.o if variant.o != "sigmoid" else variant.gates
    names = {"i": variant.gates, "f": variant.gates, "g": variant.g, "o": o}
    return {letter: ACTIVATIONS[name](parts[letter]) for letter, name in names.items()}


def _laid_out(weights: Weights, variant: Variant) -> Weights:
    kernel, recurrent, bias = weights
    if variant.kernel == "reshaped":
        kernel = kernel.reshape(kernel.shape[::-1]).T
    if variant.recurrent == "reshaped":
        recurrent = recurrent.reshape(recurrent.shape[::-1]).T
    if variant.recurrent == "transposed":
        recurrent = np.concatenate([block.T for block in np.split(recurrent, 4, axis=1)], axis=1)
    return kernel, recurrent, bias
