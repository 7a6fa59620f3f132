"""Varies one number of one stage over a recorded run: what each value would have drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import Array, Candidate, frozen_array
from minilm.sampling.ledger import draw_ids, find_survivors
from minilm.sampling.parameters import get_number, set_number
from minilm.sampling.parsing import STAGES
from minilm.trace.replay import Recording

__all__ = ["DrawMap", "SweepRow", "draw_map", "sweep", "sweep_values"]

MOST_VALUES = 1000


@dataclass(frozen=True)
class SweepRow:
    """One value of the number, over a whole run.

    Attributes:
        value: The value.
        same: How many steps take the recorded token.
        of: How many steps there are.
        parts_at: Index of the first step that takes another token; None where all take the recorded one.
        instead: The token that this step takes.
        entropy: Mean entropy after the stages, in nats.
        survivors: Mean number of survivors.
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
    """The token that every draw would have chosen in one step, for every value of a number.

    Attributes:
        name: The stage whose first number varies.
        index: Index of the step.
        values (N,): The values.
        draws (M,): The draws, ascending in [0, 1).
        ids (M, N): The token that each draw takes with each value.
        u: The draw of the recorded run, None where it drew nothing.
        value: The value of the recorded run, None where it has no such stage.
    """

    name: str
    index: int
    values: Array
    draws: Array
    ids: Array
    u: float | None
    value: float | None

    __repr__ = one_line


def sweep_values(name: str, low: float | None, high: float | None, count: int) -> list[float]:
    """Return evenly spaced values for the first number of a stage, each once.

    >>> sweep_values("TopK", None, None, 4), sweep_values("TopP", 0.5, 0.9, 3)
    ([1.0, 14.0, 27.0, 40.0], [0.5, 0.7, 0.9])

    Args:
        name: The stage. Where its number is whole, the values are rounded.
        low: The first value; None for 0.1, or 1 for whole numbers.
        high: The last value; None for 2 for a Temperature, 1 for shares, 40 for whole numbers.
        count: How many values, from 1 to 1000.

    Raises:
        MinilmError: There are too few or too many values, or they do not go up.
    """
    whole = name in STAGES and bool(numbers := fields(STAGES[name])) and numbers[0].type == "int"
    low = (1.0 if whole else 0.1) if low is None else low
    high = (40.0 if whole else 2.0 if name == "Temperature" else 1.0) if high is None else high
    if not 1 <= count <= MOST_VALUES or not -np.inf < low <= high < np.inf:
        raise MinilmError(
            f"A sweep goes from a number up to another in 1 to {MOST_VALUES} values, got {low} to {high} in "
            f"{count}"
        )
    values = np.linspace(low, high, count)
    return np.unique(np.round(values) if whole else values).tolist()


def sweep(recording: Recording, name: str, values: Sequence[float]) -> Iterator[SweepRow]:
    """Yield a row for each value of the first number of a stage.

    Args:
        recording: The recorded run.
        name: The stage, such as "Temperature" or "TopP". Where the recorded run has no such stage, it is put
            where transformers has it.
        values: The values to try.

    Raises:
        MinilmError: The run has no steps, or the stage refuses a value.
    """
    steps = recording.trace.steps
    if not steps:
        raise MinilmError("The trace has no steps, so there is nothing to sweep over")
    for value in values:
        decisions = [
            recording.decide(i, set_number(recording.stages(i), name, value)) for i in range(len(steps))
        ]
        pairs = zip(decisions, steps, strict=True)
        different = [i for i, (new, old) in enumerate(pairs) if new.chosen.id != old.decision.chosen.id]
        first = different[0] if different else None
        yield SweepRow(
            float(value),
            len(steps) - len(different),
            len(steps),
            first,
            None if first is None else decisions[first].chosen,
            float(np.mean([d.final.entropy for d in decisions])),
            float(np.mean([d.survivors for d in decisions])),
        )


def draw_map(
    recording: Recording, index: int, name: str, values: Sequence[float], draws: int = 240
) -> DrawMap:
    """Return the token that every draw takes with every value at one recorded step.

    Args:
        recording: The recorded run.
        index: Index of the step, from 0.
        name: The stage whose first number varies.
        values (N,): The values to try.
        draws: How many draws M, evenly spaced in [0, 1).

    Raises:
        MinilmError: There is no such step, or the stage refuses a value.
    """
    if not 0 <= index < len(recording.trace.steps):
        raise MinilmError(f"The trace has {len(recording.trace.steps)} steps, got step {index + 1}")
    grid = (np.arange(draws) + 0.5) / draws  # (M,)
    stages = recording.stages(index)
    logits, context, u = recording.inputs(index, stages)
    columns: list[Array] = []
    for value in values:
        columns.append(draw_ids(find_survivors(logits, context, set_number(stages, name, value)), grid))
    ids = frozen_array(np.array(columns).T.reshape(draws, len(values)), np.int64)
    here = get_number(stages, name)
    return DrawMap(name, index, frozen_array(values, np.float64), frozen_array(grid), ids, u, here)
