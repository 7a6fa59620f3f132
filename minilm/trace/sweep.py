"""One knob turned over a recorded run: what each value would have drawn, with the same dice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import Array, Candidate, frozen_array
from minilm.sampling.parameters import fallen, setting, survivors, turned
from minilm.trace.replay import Recording

__all__ = ["DrawMap", "SweepRow", "draw_map", "sweep"]


@dataclass(frozen=True)
class SweepRow:
    """One value of the knob over a whole run.

    same: steps that take the recorded token; of: all steps; parts_at: index of the first that does not,
    None where all do; instead: the token that it takes; entropy: mean over the steps, in nats after the
    stages; survivors: their mean number.
    """

    value: float
    same: int
    of: int
    parts_at: int | None
    instead: Candidate | None
    entropy: float
    survivors: float


@dataclass(frozen=True, eq=False)
class DrawMap:
    """What every draw would have chosen in one step, for every value of a knob.

    values (N,); draws (M,) ascending in [0, 1); ids (M, N): the token taken; u and value: where the
    recorded run stands, None where it drew nothing or has no such stage.
    """

    name: str
    index: int
    values: Array
    draws: Array
    ids: Array
    u: float | None
    value: float | None

    __repr__ = one_line


def sweep(recording: Recording, name: str, values: Sequence[float]) -> Iterator[SweepRow]:
    """A row for each value of the first number of a stage, such as "Temperature" or "TopP".

    Where the recorded stages have none of that name it is put where transformers has it. Raises
    MinilmError for an empty run and for values that the stage refuses.
    """
    steps = recording.trace.steps
    if not steps:
        raise MinilmError("The trace has no steps, so there is nothing to sweep over")
    for value in values:
        decisions = [recording.decide(i, turned(recording.stages(i), name, value)) for i in range(len(steps))]
        pairs = zip(decisions, steps, strict=True)
        parted = [i for i, (new, old) in enumerate(pairs) if new.chosen.id != old.decision.chosen.id]
        first = parted[0] if parted else None
        yield SweepRow(
            float(value),
            len(steps) - len(parted),
            len(steps),
            first,
            None if first is None else decisions[first].chosen,
            float(np.mean([d.final.entropy for d in decisions])),
            float(np.mean([d.survivors for d in decisions])),
        )


def draw_map(
    recording: Recording, index: int, name: str, values: Sequence[float], draws: int = 240
) -> DrawMap:
    """The token of every draw and value at one recorded step."""
    if not 0 <= index < len(recording.trace.steps):
        raise MinilmError(f"The trace has {len(recording.trace.steps)} steps, got step {index + 1}")
    grid = (np.arange(draws) + 0.5) / draws  # (M,)
    stages = recording.stages(index)
    logits, context, u = recording.asked(index, stages)
    columns: list[Array] = []
    for value in values:
        columns.append(fallen(survivors(logits, context, turned(stages, name, value)), grid))
    ids = frozen_array(np.array(columns).T.reshape(draws, len(values)), np.int64)
    here = setting(stages, name)
    return DrawMap(name, index, frozen_array(values, np.float64), frozen_array(grid), ids, u, here)
