"""The gates of an LSTM layer over a text: how open they are, which can still learn, how long memory lasts.

Everything follows from the gates, the cell and the hidden state that a Reading carries. PyTorch's and Keras's
layers show no gates; backends/gates.py recomputes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.frozen import one_line
from minilm.inside.reading import find_inner
from minilm.records import Array, Reading, frozen_array
from minilm.weights import GATES

__all__ = ["CLOSED", "OPEN", "STUCK", "LayerGates", "find_stuck_shares", "measure_gates"]

CLOSED, OPEN = 0.1, 0.9
"""A gate below CLOSED lets little through, a gate above OPEN lets almost all through.

Tables and pictures count such gates, to show what the layer does with its memory. A good model has many.
"""

STUCK = 0.01
"""A gate this near to an end of its range (as a share of the range) hardly learns any more.

The slope of the sigmoid is i (1 - i): below 0.01 here, against 0.25 in the middle, and a gradient is
multiplied by the slope. The doctor counts such gates. A healthy model has few.
"""


@dataclass(frozen=True, eq=False)
class LayerGates:
    """The gates of one layer over T tokens.

    Attributes:
        layer: the layer's number, from 0.
        opening: gate -> (T,) mean activation over the units, 0 to 1; for g the mean of |g|.
        closed: gate -> (T,) share of the H units below CLOSED (for g: |g|).
        open: gate -> (T,) share of the H units above OPEN (for g: |g|).
        cell_norm: (T,) Euclidean norm of the cell.
        hidden_norm: (T,) Euclidean norm of the hidden state.
        half_life: (H,) number of tokens after which half of a unit's cell is forgotten, if its forget gates
            stay at their mean over the text.
    """

    layer: int
    opening: Mapping[str, Array]
    closed: Mapping[str, Array]
    open: Mapping[str, Array]
    cell_norm: Array
    hidden_norm: Array
    half_life: Array

    __repr__ = one_line


def measure_gates(reading: Reading, layer: int) -> LayerGates:
    """Measure the gates of one layer.

    Args:
        reading: a reading with gates.L, cell.L and hidden.L of the layer.
        layer: the layer's number L.

    Raises:
        MinilmError: the reading does not carry these arrays.
    """
    fused, cell, hidden = (
        np.asarray(array, np.float64)
        for array in find_inner(reading, *(f"{kind}.{layer}" for kind in ("gates", "cell", "hidden")))
    )
    blocks = dict(zip(GATES, np.split(fused, 4, axis=1), strict=True))  # gate -> (T, H)
    sizes = {name: np.abs(block) for name, block in blocks.items()}
    return LayerGates(
        layer,
        opening={name: frozen_array(size.mean(axis=1)) for name, size in sizes.items()},
        closed={name: frozen_array((size < CLOSED).mean(axis=1)) for name, size in sizes.items()},
        open={name: frozen_array((size > OPEN).mean(axis=1)) for name, size in sizes.items()},
        cell_norm=frozen_array(np.linalg.norm(cell, axis=1)),
        hidden_norm=frozen_array(np.linalg.norm(hidden, axis=1)),
        half_life=frozen_array(_half_life(blocks["f"])),
    )


def _half_life(forget: Array) -> Array:
    """Return the half-life (H,) of each unit's cell in tokens, from its forget gates (T, H)."""
    # After k tokens the share f^k of a cell is left, with f the geometric mean of its forget gates.
    # f^k = 1/2  gives  k = ln 2 / -mean(ln f); it is infinite where every gate is 1.
    with np.errstate(divide="ignore"):
        # the absolute value, because -0.0 would give minus infinity
        lost = np.abs(np.log(forget).mean(axis=0))
        return np.log(2) / lost


def find_stuck_shares(gates: Array) -> dict[str, float]:
    """Return, for each gate i, f, g, o, the share of its values that are stuck at an end of the range.

    >>> find_stuck_shares(np.array([[0.001, 0.5, 0.999, 0.05]]))
    {'i': 1.0, 'f': 0.0, 'g': 1.0, 'o': 0.0}

    Args:
        gates: (T, ..., 4H) after activation, in the order i, f, g, o.
    """
    shares = {}
    for name, block in zip(GATES, np.split(gates, 4, axis=-1), strict=True):
        # i, f and o lie between 0 and 1; g lies between -1 and 1, a range twice as wide
        distance = (1 - np.abs(block)) / 2 if name == "g" else np.minimum(block, 1 - block)
        each_step = (distance < STUCK).reshape(len(block), -1).mean(axis=1)  # (T,)
        shares[name] = float(each_step.mean())
    return shares
