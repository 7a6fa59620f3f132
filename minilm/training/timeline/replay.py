"""Replay: bring a model to any place of its training, bit for bit.

It restores the nearest snapshot before the place and makes the updates after it once more. Batches, rates and
dropout masks are functions of the step, so a snapshot holds nothing but the weights and Adam's averages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minilm.protocols import Trainable
from minilm.records import Array, Gradients, TrainStep, frozen_array
from minilm.training.step import batch_gradients, one_step
from minilm.training.timeline.plan import Change, Plan
from minilm.training.timeline.snapshots import BUDGET, Snapshots

__all__ = ["Replay"]

# Steps between the places that a replay keeps in memory.
REMEMBERED = 4

# The name of the number of targets seen, beside the arrays of a snapshot.
TOKENS = "timeline.tokens"


@dataclass(frozen=True)
class _Place:
    """The place where the model is: the changes that it has had, updates made, targets seen."""

    history: tuple[Change, ...]
    step: int
    tokens: int


class Replay:
    """A model, its snapshots, and the record of every step that it has made.

    Nobody else may train the model; where somebody has, `forget` must be called.

    Attributes:
        start: updates made when it began.
        snapshots: the snapshots.
        records: the record of a step, by the changes before it and its number from 1.
    """

    def __init__(
        self,
        model: Trainable,
        plan: Plan,
        start: int,
        tokens: int,
        folder: str | Path | None,
        budget: int = BUDGET,
    ) -> None:
        self._model, self.start = model, start
        first = model.snapshot()
        size = sum(array.nbytes for array in first.values()) + 8
        if folder is not None:
            folder = Path(folder) / _identity(model, plan, start, first)
        self.snapshots = Snapshots(size, plan.schedule.steps - start, folder, budget)
        self.records: dict[tuple[tuple[Change, ...], int], TrainStep] = {}
        self._recent: dict[tuple[tuple[Change, ...], int], Mapping[str, Array]] = {}
        self._at: _Place | None = _Place((), start, tokens)
        self.snapshots.keep((), start, {**first, TOKENS: np.array(tokens)})

    def forget(self) -> None:
        """Treat the weights of the model as unknown, so that the next `bring` begins at a snapshot."""
        self._at = None
        self._recent.clear()

    def bring(self, plan: Plan, step: int) -> Trainable:
        """Return the model after `step` updates of a plan."""
        place = self._approach(plan, step)
        while place.step < step:
            watch = (plan.history(place.step + 1), place.step + 1) not in self.records
            if not watch:
                self._remember(place)
            place = self._move(plan, place, watch)
        return self._model

    def record(self, plan: Plan, step: int) -> TrainStep:
        """Return the record of update number `step`, from 1; the step is replayed where there is none."""
        key = (plan.history(step), step)
        if key not in self.records:
            self.bring(plan, step)
        # An earlier run kept the snapshot of this place, so that no step was replayed to get here.
        if key not in self.records:
            self.bring(plan, step - 1)
            self._move(plan, self._approach(plan, step - 1), watch=True)
        return self.records[key]

    def known(self, plan: Plan, step: int) -> list[TrainStep]:
        """Return the records that led to `step` updates, the oldest first, as far as there are any."""
        found: list[TrainStep] = []
        while (record := self.records.get((plan.history(step), step))) is not None:
            found.append(record)
            step -= 1
        return found[::-1]

    def gradients(self, plan: Plan, step: int) -> Gradients:
        """Return the gradients of the next batch after `step` updates; the model is not updated."""
        return batch_gradients(self.bring(plan, step), plan.batch(step), plan.batches.seed, step)

    def updates(self, plan: Plan, step: int) -> dict[str, Array]:
        """Return what the next update would add to every weight; the model is put back as it was."""
        gradients = self.gradients(plan, step)
        before = self._model.snapshot()
        place, self._at = self._at, None
        self._model.update(gradients, plan.rate(step), plan.clip)
        found = {name: frozen_array(new - before[name]) for name, new in self._model.weights().items()}
        self._model.restore(before)
        self._at = place
        return found

    def _approach(self, plan: Plan, step: int) -> _Place:
        """Go to the nearest place not after `step`: the model's own, one in memory, or a snapshot."""
        here = self._at
        if here is not None and (plan.history(step), step) == (here.history, here.step):
            return here
        histories = [plan.history(at) for at in range(step + 1)]
        found, arrays = self.snapshots.nearest(histories)
        recent = [at for at in range(found + 1, step + 1) if (histories[at], at) in self._recent]
        if recent:
            found, arrays = recent[-1], self._recent[histories[recent[-1]], recent[-1]]
        if here is not None and found <= here.step <= step and histories[here.step] == here.history:
            return here
        self._at = None
        self._model.restore({name: array for name, array in arrays.items() if name != TOKENS})
        self._at = _Place(histories[found], found, int(arrays[TOKENS]))
        return self._at

    def _remember(self, place: _Place) -> None:
        """Keep every fourth place of a replay in memory, so that stepping back from there is quick."""
        if place.step % REMEMBERED:
            return
        self._recent[place.history, place.step] = self._arrays(place)
        while len(self._recent) > self.snapshots.recent:
            del self._recent[next(iter(self._recent))]

    def _move(self, plan: Plan, place: _Place, watch: bool) -> _Place:
        """Make one update, and keep its record and its snapshot where they are due."""
        batch, step = plan.batch(place.step), place.step
        # Where the step fails, the weights are unknown.
        self._at = None
        record = one_step(
            self._model,
            batch,
            seed=plan.batches.seed,
            index=step + 1,
            rate=plan.rate(step),
            clip=plan.clip,
            tokens=place.tokens + batch.tokens,
            watch=watch,
        )
        self._at = after = _Place(plan.history(step + 1), step + 1, record.tokens)
        if watch:
            self.records[after.history, after.step] = record
        if self.snapshots.wants(after.step):
            self.snapshots.keep(after.history, after.step, self._arrays(after))
        return after

    def _arrays(self, place: _Place) -> dict[str, Array]:
        return {**self._model.snapshot(), TOKENS: np.array(place.tokens)}


def _identity(model: Trainable, plan: Plan, start: int, first: Mapping[str, Array]) -> str:
    """Return a name that only the same training has: its folder of snapshots serves no other one."""
    digest = hashlib.blake2b(digest_size=8)
    b = plan.batches
    dtype = first["embedding"].dtype
    facts = (model.name, dtype, model.config, plan.schedule, plan.clip, b.size, b.length, b.seed, start)
    digest.update(repr(facts).encode())
    for array in (*b.documents, *(first[name] for name in sorted(first))):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
