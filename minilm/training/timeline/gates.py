"""The gates, the cell and the hidden state of every token, at one place of a training or at many.

A framework's fused layer shows no gates. A backend recomputes them from the weights, and refuses them where
they do not give the layer's own output (backends/gates.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.inside.gates import CLOSED, OPEN
from minilm.protocols import LanguageModel
from minilm.records import Array, frozen_array
from minilm.training.timeline.timeline import Timeline

__all__ = ["GateMoment", "GateRow", "gate_moment", "gates_through"]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One token of a GateMoment in numbers.

    Attributes:
        id: the token.
        i: the mean of the input gate over H; f, g and o likewise.
        f: the forget gate.
        g: the candidate.
        o: the output gate.
        c: the Euclidean norm of the cell.
        h: the Euclidean norm of the hidden state.
        saturated: the share of i, f and o below 0.1 or above 0.9, as in minilm.inside.
    """

    id: int
    i: float
    f: float
    g: float
    o: float
    c: float
    h: float
    saturated: float


@dataclass(frozen=True, slots=True, eq=False)
class GateMoment:
    """The inside of one layer while it reads some ids.

    Attributes:
        index: updates that the model has had.
        layer: the layer, from 0.
        ids: what it reads (T,).
        i: the input gate (T, H), after the sigmoid.
        f: the forget gate (T, H).
        g: the candidate (T, H), after the tanh.
        o: the output gate (T, H).
        c: the cell (T, H).
        h: the hidden state (T, H).
    """

    index: int
    layer: int
    ids: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array

    __repr__ = one_line

    def rows(self) -> list[GateRow]:
        """Return a row for every token."""
        outer = np.concatenate([self.i, self.f, self.o], axis=1)
        saturated = ((outer < CLOSED) | (outer > OPEN)).mean(axis=1)
        columns = [array.mean(axis=1) for array in (self.i, self.f, self.g, self.o)]
        columns += [np.linalg.norm(array, axis=1) for array in (self.c, self.h)]
        table = np.stack([*columns, saturated], axis=1).tolist()
        return [GateRow(int(token), *row) for token, row in zip(self.ids, table, strict=True)]


def gate_moment(
    model: LanguageModel, ids: Sequence[int] | Array, layer: int = 0, index: int = 0
) -> GateMoment:
    """Return the inside of one layer while the model reads ids from a fresh state.

    Args:
        model: one that answers with gates.
        ids: what it reads (T,).
        layer: the layer, from 0.
        index: updates that the model has had, for the record.

    Raises:
        MinilmError: there is no such layer, or the recomputed gates do not give the layer's output.
    """
    if layer < 0:
        raise MinilmError(f"Layers are numbered from 0, got {layer}")
    inner = model.read(ids, inner=[f"{kind}.{layer}" for kind in ("gates", "cell", "hidden")]).inner
    i, f, g, o = map(frozen_array, np.split(inner[f"gates.{layer}"], 4, axis=-1))  # each (T, H)
    cell, hidden = inner[f"cell.{layer}"], inner[f"hidden.{layer}"]
    return GateMoment(index, layer, frozen_array(ids, np.int64), i, f, g, o, cell, hidden)


def gates_through(
    timeline: Timeline, ids: Sequence[int] | Array, steps: Iterable[int], layer: int = 0
) -> Iterator[GateMoment]:
    """Read the same ids at several places of a training, each given by its number of updates."""
    for index in steps:
        yield gate_moment(timeline.jump(index).model, ids, layer, index)
