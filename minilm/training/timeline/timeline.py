"""A training as a value: a Timeline is a place in it, from which one steps on, back, anywhere, or branches.

As with the cursor of a generation, moving gives another Timeline and the old one stays usable. The one model
that they share is brought to a place when the place is asked for it. A TrainSession is a debugging session:
branches by name, and the current one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.protocols import TextCodec, Trainable
from minilm.records import Array, Gradients, TrainStep
from minilm.training.batches import Batch, Batches
from minilm.training.fit import Schedule
from minilm.training.step import check_finite
from minilm.training.timeline.breakpoints import (
    speaks_of_nan,
    training_breakpoint_holds,
    training_breakpoint_of,
)
from minilm.training.timeline.plan import NewRate, OtherBatch, Plan
from minilm.training.timeline.replay import Replay
from minilm.training.timeline.snapshots import BUDGET

__all__ = ["Timeline", "TrainSession", "open_train_session"]


class Timeline:
    """A place in a training.

    Attributes:
        index: the updates made to get here.
        plan: the batches, the rates and the changes of the branch.
        stopped: why `until` stopped here; None elsewhere.
        codec: the tokenizer, for conditions that name words.
        replay: the model, its snapshots and its records, shared by all places of the training.
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
        """Begin at the place where the model is now; from here on only the timeline may train it.

        Args:
            model: after `start` updates.
            batches: the batch of every step.
            schedule: the learning rate of every step.
            clip: the largest global norm of the gradients; None does not clip.
            start: updates made so far.
            tokens: targets seen so far.
            codec: the tokenizer, for conditions that name words.
            folder: where snapshots are kept; None keeps them in memory.
            budget: bytes that all snapshots together may take.
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
        """The index of the earliest place: updates made when the timeline began."""
        return self.replay.start

    @property
    def last(self) -> int:
        """The index of the last place: the steps of the schedule."""
        return self.plan.schedule.steps

    @property
    def model(self) -> Trainable:
        """The model at this place; valid until another place is asked for its model."""
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
        """Yield the record of every step that led here, the oldest first."""
        return (self.replay.record(self.plan, index) for index in range(self.first + 1, self.index + 1))

    def next(self) -> Timeline:
        """Return the place one update on.

        Raises:
            MinilmError: after the last step, or where a number is not finite.
        """
        after = self.jump(self.index + 1)
        self.replay.record(self.plan, after.index)
        return after

    def back(self, steps: int = 1) -> Timeline:
        """Return the place `steps` updates back."""
        return self.jump(self.index - steps)

    def jump(self, index: int) -> Timeline:
        """Return the place after `index` updates; MinilmError where the training has no such step."""
        if not self.first <= index <= self.last:
            raise MinilmError(f"Step {index} does not exist; this training has {self.first} to {self.last}")
        self.replay.bring(self.plan, index)
        return self._at(index)

    def until(self, condition: str | None = None) -> Timeline:
        """Return the next place at which a condition holds, or the last place; `stopped` says which it is."""
        *_, place = self.course(condition)
        return place

    def course(self, condition: str | None = None) -> Iterator[Timeline]:
        """Yield every place that `until` passes, the one where it stops included.

        Args:
            condition: for example "loss < 2"; see breakpoints.py. Where it names `nan`, a step whose numbers
                are not finite is no error: the place before it is the last one. None: up to the last step.

        Raises:
            MinilmError: at once, for a condition that cannot be read.
        """
        return self._course(None if condition is None else training_breakpoint_of(condition, self.codec))

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
                yield place._stopped_by(str(error))
                return
            records.append(place.replay.records[place.plan.history(place.index), place.index])
            if condition is not None and training_breakpoint_holds(condition, records, self.codec):
                yield place._stopped_by(f"{condition.text} holds at step {place.index}")
                return
            yield place if place.index < self.last else place._stopped_by(f"step {self.last} is the last one")

    def gradients(self) -> Gradients:
        """Return the gradients of the next batch; nothing is updated."""
        self._check_goes_on()
        return self.replay.gradients(self.plan, self.index)

    def updates(self) -> Mapping[str, Array]:
        """Return what the next update would add to every weight; nothing is updated."""
        self._check_goes_on()
        check_finite(self.gradients(), self.index + 1)
        return self.replay.updates(self.plan, self.index)

    def with_rate(self, rate: float | None) -> Timeline:
        """Return a branch with another learning rate from here on; None for the schedule's rate."""
        self._check_goes_on()
        return self._at(self.index, self.plan.changed(NewRate(self.index, rate)))

    def with_batch(self, batch: int | Batch) -> Timeline:
        """Return a branch whose next step has another batch: your own, or that of another step (from 0)."""
        self._check_goes_on()
        return self._at(self.index, self.plan.changed(OtherBatch(self.index, batch)))

    def _check_goes_on(self) -> None:
        if self.index == self.last:
            raise MinilmError(f"Step {self.last + 1} does not exist; this training ends with {self.last}")

    def _at(self, index: int, plan: Plan | None = None) -> Timeline:
        place = copy.copy(self)
        place.index, place.plan, place.stopped = index, plan or self.plan, None
        return place

    def _stopped_by(self, reason: str) -> Timeline:
        place = copy.copy(self)
        place.stopped = reason
        return place

    def __repr__(self) -> str:
        changes = f", {len(self.plan.changes)} changes" if self.plan.changes else ""
        return f"Timeline(step {self.index} of {self.last}{changes})"


@dataclass(frozen=True, eq=False)
class TrainSession:
    """A debugging session of a training, as a value.

    Attributes:
        branches: the place of every branch, by its name; the first one is "trunk".
        current: the name of the branch that is looked at.
    """

    branches: Mapping[str, Timeline]
    current: str = "trunk"

    @property
    def here(self) -> Timeline:
        """The place of the current branch."""
        return self.branches[self.current]

    def move_to(self, place: Timeline) -> TrainSession:
        """Return the session with the current branch at another place."""
        return replace(self, branches={**self.branches, self.current: place})

    def new_branch(self, name: str | None = None) -> TrainSession:
        """Return the session with a new branch that begins here; it is the current one.

        Args:
            name: its name, not yet taken; None takes the first free one of b1, b2, ...
        """
        name = name or next(
            free for n in range(1, len(self.branches) + 1) if (free := f"b{n}") not in self.branches
        )
        if name in self.branches:
            raise MinilmError(f"There is a branch {name!r} already; take another name, or switch to it")
        return replace(self, branches={**self.branches, name: self.here}, current=name)

    def switch(self, name: str) -> TrainSession:
        """Return the session with another branch as the current one."""
        self.branch(name)
        return replace(self, current=name)

    def branch(self, name: str) -> Timeline:
        """Return the place of a branch; MinilmError for an unknown name."""
        if name not in self.branches:
            raise MinilmError(f"There is no branch {name!r}; there is {', '.join(self.branches)}")
        return self.branches[name]


def open_train_session(timeline: Timeline) -> TrainSession:
    """Return a session with one branch, the trunk."""
    return TrainSession({"trunk": timeline})
