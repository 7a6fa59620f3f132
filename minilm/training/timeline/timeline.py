"""Training as a place that one can step from: on, back, anywhere, until something happens, or on another way.

A Timeline is a value, as a generation's cursor is: moving gives another one, and the old one stays usable.
The model is brought to a place when it is asked for there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.protocols import TextCodec, Trainable
from minilm.records import Array, Gradients, TrainStep
from minilm.training.batches import Batch, Batches
from minilm.training.fit import Schedule
from minilm.training.step import check_finite
from minilm.training.timeline.breakpoints import condition_on_training, holds, speaks_of_nan
from minilm.training.timeline.plan import NewRate, OtherBatch, Plan
from minilm.training.timeline.replay import Replay
from minilm.training.timeline.snapshots import BUDGET

__all__ = ["Timeline"]


class Timeline:
    """A place in a training: `index` updates have been made.

    `stopped` says why `until` stopped here, and is None elsewhere; `plan`: what the training is told.
    """

    def __init__(
        self,
        model: Trainable,
        batches: Batches,
        schedule: Schedule,
        *,
        clip: float | None = 1.0,
        start: int = 0,
        tokens: int = 0,
        codec: TextCodec | None = None,
        folder: str | Path | None = None,
        budget: int = BUDGET,
    ) -> None:
        """The place where the model stands now, after `start` updates and `tokens` targets.

        codec: for conditions that name words; folder: where snapshots go, memory unless given; budget:
        bytes that they may take. The model belongs to the timeline from here on.
        """
        if not 0 <= start < schedule.steps:
            raise MinilmError(
                f"A training of {schedule.steps} steps has no step {start + 1}; plan more steps"
            )
        self.plan, self.codec = Plan(batches, schedule, clip), codec
        self.index: int = start
        self.stopped: str | None = None
        self.replay = Replay(model, self.plan, start, tokens, folder, budget)

    @property
    def first(self) -> int:
        """The earliest place: updates that had been made when the timeline began."""
        return self.replay.start

    @property
    def last(self) -> int:
        """The last place: the steps of the schedule."""
        return self.plan.schedule.steps

    @property
    def model(self) -> Trainable:
        """The model as it stands here; valid until another place is looked at."""
        return self.replay.bring(self.plan, self.index)

    @property
    def step(self) -> TrainStep | None:
        """The record of the update that led here; None at the start."""
        return None if self.index == self.first else self.replay.record(self.plan, self.index)

    @property
    def batch(self) -> Batch:
        """The batch of the next step."""
        return self.plan.batch(self.index)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.plan.rate(self.index)

    def records(self) -> Iterator[TrainStep]:
        """Every step that led here, oldest first."""
        return (self.replay.record(self.plan, index) for index in range(self.first + 1, self.index + 1))

    def next(self) -> Timeline:
        """One update on. Raises MinilmError after the last step, or where a number is not finite."""
        after = self.jump(self.index + 1)
        self.replay.record(self.plan, after.index)
        return after

    def back(self, steps: int = 1) -> Timeline:
        """So many updates back."""
        return self.jump(self.index - steps)

    def jump(self, index: int) -> Timeline:
        """The place after `index` updates. Raises MinilmError where there is none."""
        if not self.first <= index <= self.last:
            raise MinilmError(f"Step {index} does not exist; this training has {self.first} to {self.last}")
        self.replay.bring(self.plan, index)
        return self._at(index)

    def until(self, condition: str | None = None) -> Timeline:
        """The next place at which a condition holds, or the last one; `stopped` says which."""
        *_, place = self.course(condition)
        return place

    def course(self, condition: str | None = None) -> Iterator[Timeline]:
        """Every place on the way of `until`. Raises MinilmError at once for a condition not understood.

        With the name `nan` in it, a step whose numbers are not finite is stopped before, not an error.
        """
        return self._course(None if condition is None else condition_on_training(condition, self.codec))

    def _course(self, condition: Condition | None) -> Iterator[Timeline]:
        if self.index == self.last:
            raise MinilmError(f"Step {self.last} is the last one; go back, or plan more steps")
        place, records = self, self.replay.known(self.plan, self.index)
        while place.index < self.last:
            try:
                place = place.next()
            except MinilmError as error:
                if condition is None or not speaks_of_nan(condition):
                    raise
                yield place._because(str(error))
                return
            records.append(place.replay.records[place.plan.history(place.index), place.index])
            if condition is not None and holds(condition, records, self.codec):
                yield place._because(f"{condition.text} holds at step {place.index}")
                return
            yield place if place.index < self.last else place._because(f"step {self.last} is the last one")

    def gradients(self) -> Gradients:
        """Between gradient and update: those of the next batch; nothing has been updated."""
        self._check_goes_on()
        return self.replay.gradients(self.plan, self.index)

    def updates(self) -> Mapping[str, Array]:
        """Between gradient and update: what the next update would add to every weight."""
        self._check_goes_on()
        check_finite(self.gradients(), self.index + 1)
        return self.replay.updates(self.plan, self.index)

    def with_rate(self, rate: float | None) -> Timeline:
        """A branch: from here on another learning rate, None for the schedule's."""
        self._check_goes_on()
        return self._at(self.index, self.plan.changed(NewRate(self.index, rate)))

    def with_batch(self, batch: int | Batch) -> Timeline:
        """A branch: the next step meets another batch, one of the order (from 0) or one's own."""
        self._check_goes_on()
        return self._at(self.index, self.plan.changed(OtherBatch(self.index, batch)))

    def _check_goes_on(self) -> None:
        if self.index == self.last:
            raise MinilmError(f"Step {self.last + 1} does not exist; this training ends with {self.last}")

    def _at(self, index: int, plan: Plan | None = None) -> Timeline:
        place = copy.copy(self)
        place.index, place.plan, place.stopped = index, plan or self.plan, None
        return place

    def _because(self, reason: str) -> Timeline:
        place = copy.copy(self)
        place.stopped = reason
        return place

    def __repr__(self) -> str:
        changes = f", {len(self.plan.changes)} changes" if self.plan.changes else ""
        return f"Timeline(step {self.index} of {self.last}{changes})"
