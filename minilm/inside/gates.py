"""The gates of an LSTM layer over a text: how open, how saturated, and how long its memory lasts.

Everything follows from a Reading's gates.L, cell.L and hidden.L. Backends whose LSTM shows no gates compute
them from the weights and hold them against the layer's own output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import Array, Reading, frozen_array
from minilm.weights import GATES

__all__ = ["LayerGates", "gates"]

CLOSED, OPEN = 0.1, 0.9  # a gate below or above is saturated


@dataclass(frozen=True, eq=False)
class LayerGates:
    """A layer over T tokens.

    opening: gate -> (T,) mean activation (of g its mean size, from 0 to 1); closed, open: gate -> (T,) share
    of the H units below 0.1 and above 0.9; cell_norm, hidden_norm: (T,) Euclidean; half_life: (H,) tokens
    after which half of a unit's cell is forgotten, at the mean of its forget gates over the text.
    """

    layer: int
    opening: Mapping[str, Array]
    closed: Mapping[str, Array]
    open: Mapping[str, Array]
    cell_norm: Array
    hidden_norm: Array
    half_life: Array

    __repr__ = one_line


def gates(reading: Reading, layer: int) -> LayerGates:
    """The gates of a layer. Raises MinilmError where the reading does not carry them.

    half-life: k with f^k = 1/2 for f the geometric mean of the unit's forget gates, ln 2 / -mean(ln f);
    infinite where every gate is 1.
    """
    arrays = {kind: reading.inner.get(f"{kind}.{layer}") for kind in ("gates", "cell", "hidden")}
    if any(array is None for array in arrays.values()):
        raise MinilmError(
            f"The reading must carry gates.{layer}, cell.{layer} and hidden.{layer}, but it carries "
            f"{', '.join(sorted(reading.inner)) or 'nothing'}; ask for them, or for another layer"
        )
    fused = np.asarray(arrays["gates"], np.float64)  # (T, 4H)
    blocks = dict(zip(GATES, np.split(fused, 4, axis=1), strict=True))  # gate -> (T, H)
    sizes = {name: np.abs(block) for name, block in blocks.items()}
    with np.errstate(divide="ignore"):
        lost = np.abs(np.log(blocks["f"]).mean(axis=0))  # 0 and not -0 where a unit forgets nothing
        half_life = np.log(2) / lost
    return LayerGates(
        layer,
        {name: frozen_array(size.mean(axis=1)) for name, size in sizes.items()},
        {name: frozen_array((size < CLOSED).mean(axis=1)) for name, size in sizes.items()},
        {name: frozen_array((size > OPEN).mean(axis=1)) for name, size in sizes.items()},
        frozen_array(np.linalg.norm(np.asarray(arrays["cell"], np.float64), axis=1)),
        frozen_array(np.linalg.norm(np.asarray(arrays["hidden"], np.float64), axis=1)),
        frozen_array(half_life),
    )
