"""What a training is told for every step, and the changes that make a branch of it.

A plan is a value, and everything that happens in a training follows from it. So two plans that agree before
a step have equal weights there, and a branch shares its past with the trunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.training.batches import Batch, Batches
from minilm.training.fit import Schedule

__all__ = ["Change", "NewRate", "OtherBatch", "Plan"]


@dataclass(frozen=True)
class NewRate:
    """From step `step` (updates made before it) on, this learning rate; None: the schedule's again."""

    step: int
    rate: float | None

    def __str__(self) -> str:
        rate = "the planned rate" if self.rate is None else f"rate {self.rate:g}"
        return f"{rate} from step {self.step + 1} on"


@dataclass(frozen=True)
class OtherBatch:
    """In step `step` alone, another batch: one of the order by its number from 0, or one of one's own."""

    step: int
    batch: int | Batch

    def __str__(self) -> str:
        batch = f"the batch of step {self.batch + 1}" if isinstance(self.batch, int) else "another batch"
        return f"{batch} in step {self.step + 1}"


Change = NewRate | OtherBatch


@dataclass(frozen=True, eq=False)
class Plan:
    """The batches, the schedule and the clip of a training, and what was changed underway.

    Steps are numbered by the updates made before them, from 0.
    """

    batches: Batches
    schedule: Schedule
    clip: float | None = 1.0
    changes: tuple[Change, ...] = ()

    __repr__ = one_line

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        rates = [c for c in self.changes if isinstance(c, NewRate) and c.step <= step]
        newest = max(rates, key=lambda change: change.step, default=None)
        return self.schedule.at(step) if newest is None or newest.rate is None else newest.rate

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        others = [c.batch for c in self.changes if isinstance(c, OtherBatch) and c.step == step]
        other = others[-1] if others else step
        return self.batches.batch(other) if isinstance(other, int) else other

    def history(self, step: int) -> tuple[Change, ...]:
        """The changes that weights after `step` updates have felt; equal histories mean equal weights."""
        return tuple(change for change in self.changes if change.step < step)

    def changed(self, change: Change) -> Plan:
        """The plan with one more change; what was changed later, or alike at that step, no longer counts."""
        if isinstance(change, NewRate) and change.rate is not None and not 0 <= change.rate < math.inf:
            raise MinilmError(f"The learning rate must be 0 or more and finite, got {change.rate}")
        if isinstance(change, OtherBatch) and isinstance(change.batch, int) and change.batch < 0:
            raise MinilmError(f"Batches of the order are numbered from 0, got {change.batch}")
        kept = [c for c in self.changes if c.step < change.step or _beside(c, change)]
        return replace(self, changes=(*kept, change))


def _beside(old: Change, new: Change) -> bool:
    return old.step == new.step and type(old) is not type(new)
