"""The exact split of a logit over the tokens that an LSTM's cell remembers.

c_T = sum over t of (product of the forget gates after t) i_t g_t, plus what was there before; and
h_T = o_T tanh(c_T). tanh is shared in proportion: a part p of the cell c gives o p tanh(c)/c, where tanh(c)/c
is 1 at c = 0. So the parts, the start and the head's bias add up to the logit; what is missing, which is
rounding alone, is shown. The split is of the last layer: in a deeper LSTM its input at a place holds earlier
tokens too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.inside.looking import last_layer
from minilm.inside.units import direction, value_of
from minilm.protocols import Inspectable
from minilm.records import Array, Reading, frozen_array

__all__ = ["MemorySplit", "memory"]


@dataclass(frozen=True, eq=False)
class MemorySplit:
    """A logit, or the difference of two, split over sources.

    parts: (T,) of each token read; start: of the state before the first; bias: the head's own; value: the
    logit; residual: value less all of them; kept: (T,) how much of each token's entry is left in the cell,
    the mean over the units of the product of the later forget gates.
    """

    layer: int
    parts: Array
    start: float
    bias: float
    value: float
    residual: float
    kept: Array

    __repr__ = one_line


def memory(model: Inspectable, reading: Reading, target: int, against: int | None = None) -> MemorySplit:
    """Split the last token's logit of target, less that of against, over the tokens read.

    reading: with rows, gates and cells of every layer, as look() gives. MinilmError where it lacks them.
    """
    layer = last_layer(model, "gates", reading)
    if layer is None or f"cell.{layer}" not in reading.inner:
        raise MinilmError(
            "A split of the memory needs gates and cells of the last layer; only an LSTM of ours shows them"
        )
    fused = np.asarray(reading.inner[f"gates.{layer}"], np.float64)  # (T, 4H)
    cells = np.asarray(reading.inner[f"cell.{layer}"], np.float64)  # (T, H)
    i, f, g, o = np.split(fused, 4, axis=1)  # (T, H) each
    column, bias = direction(model, target, against)  # (H,)
    later = np.cumprod(np.vstack([f[1:], np.ones_like(f[:1])])[::-1], axis=0)[::-1]  # (T, H)
    cell = cells[-1]
    squash = np.divide(np.tanh(cell), cell, out=np.ones_like(cell), where=cell != 0)
    weight = column * o[-1] * squash  # (H,) what a unit of cell is worth
    parts = (later * i * g) @ weight
    start = float((later[0] * (cells[0] - i[0] * g[0])) @ weight)
    value = value_of(reading, target, against)
    residual = value - float(parts.sum()) - start - bias
    return MemorySplit(
        layer, frozen_array(parts), start, bias, value, residual, frozen_array(later.mean(axis=1))
    )
