"""The plan of a training: the batch and the rate of every step, and the changes that make a branch.

A plan is a value, and everything that happens in a training follows from it. So two plans that are equal up
to a step give equal weights there, and a branch shares its past with the trunk. Steps are numbered from 0, by
the updates made before them.
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
    """A change: another learning rate from a step on.

    Attributes:
        step: the first step with it, from 0.
        rate: the rate; None for the schedule's again.
    """

    step: int
    rate: float | None

    def __str__(self) -> str:
        rate = "the planned rate" if self.rate is None else f"rate {self.rate:g}"
        return f"{rate} from step {self.step + 1} on"


@dataclass(frozen=True)
class OtherBatch:
    """A change: another batch in one step.

    Attributes:
        step: the step, from 0.
        batch: the number of another step of the plan, from 0, or a batch of your own.
    """

    step: int
    batch: int | Batch

    def __str__(self) -> str:
        batch = f"the batch of step {self.batch + 1}" if isinstance(self.batch, int) else "another batch"
        return f"{batch} in step {self.step + 1}"


Change = NewRate | OtherBatch


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of a training: what it does in every step.

    Attributes:
        batches: the batch of every step.
        schedule: the learning rate of every step.
        clip: the largest global norm of the gradients; None does not clip.
        changes: what differs from the above in this branch.
    """

    batches: Batches
    schedule: Schedule
    clip: float | None = 1.0
    changes: tuple[Change, ...] = ()

    __repr__ = one_line

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        rates = [c for c in self.changes if isinstance(c, NewRate) and c.step <= step]
        newest = max(rates, key=lambda change: change.step, default=None)
        return self.schedule.at(step) if newest is None or newest.rate is None else newest.rate

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        others = [c.batch for c in self.changes if isinstance(c, OtherBatch) and c.step == step]
        other = others[-1] if others else step
        return self.batches.batch(other) if isinstance(other, int) else other

    def history(self, step: int) -> tuple[Change, ...]:
        """Return the changes that happen in the first `step` updates; equal histories mean equal weights."""
        return tuple(change for change in self.changes if change.step < step)

    def changed(self, change: Change) -> Plan:
        """Return the plan with one more change; later ones, and one of its kind at its step, are dropped."""
        if isinstance(change, NewRate) and change.rate is not None and not 0 <= change.rate < math.inf:
            raise MinilmError(f"The learning rate must be 0 or more and finite, got {change.rate}")
        if isinstance(change, OtherBatch) and isinstance(change.batch, int) and change.batch < 0:
            raise MinilmError(f"Batches of the order are numbered from 0, got {change.batch}")
        kept = [c for c in self.changes if c.step < change.step or _holds_too(c, change)]
        return replace(self, changes=(*kept, change))


def _holds_too(old: Change, new: Change) -> bool:
    """Return True where both changes hold at one step: another rate does not undo another batch."""
    return old.step == new.step and type(old) is not type(new)
