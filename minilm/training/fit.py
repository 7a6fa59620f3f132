"""The training loop: one batch and one update after another, with a record of every step.

It knows no framework, saves nothing and prints nothing; the caller may stop, look or save between two steps.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import TrainStep
from minilm.training.batches import Batch, Batches
from minilm.training.step import batch_gradients, one_step

if TYPE_CHECKING:
    from minilm.training.clock import Clock

__all__ = ["PARTS", "Schedule", "evaluate", "fit", "planned_steps"]

# Parts into which the time of a training by the clock is cut.
PARTS = 100


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step: a linear rise, then half a cosine down.

    A function of the step alone, so that a resumed run goes on with the same rates. In a training that ends
    at a time, the share of the time that is gone counts, not the share of the steps; `parts` records it.

    Attributes:
        rate: the highest rate.
        steps: steps of the whole run.
        warm_up: steps of the rise.
        final: the last rate, as a share of the highest one.
        parts: the first step of each hundredth of the time that has begun; empty for a training by steps.
    """

    rate: float
    steps: int
    warm_up: int = 20
    final: float = 0.02
    parts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise MinilmError(f"The learning rate must be a number above 0, got {self.rate}")

    def at(self, step: int) -> float:
        """Return the rate of a step, from 0.

        >>> [round(Schedule(1.0, 100, warm_up=4).at(step), 3) for step in (0, 3, 4, 52, 99)]
        [0.25, 1.0, 1.0, 0.502, 0.02]

        Here half the time was gone before step 6, where its part 50 (from 0) began:

        >>> timed = Schedule(1.0, 9, warm_up=4, parts=(0,) * 50 + (6,))
        >>> [round(timed.at(step), 3) for step in (5, 6)]
        [0.518, 0.502]
        """
        # Warm-up: rate * (step + 1) / warm_up
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        # Cosine: rate * (final + (1 - final) * (1 + cos(pi * done)) / 2), with done from 0 to 1
        done = (step - self.warm_up) / max(self.steps - self.warm_up - 1, 1)
        if self.parts:
            done = (bisect_right(self.parts, step) - 1) / (PARTS - 1)
        share = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return self.rate * (self.final + (1 - self.final) * share)


def fit(
    model: Trainable,
    batches: Batches,
    schedule: Schedule,
    *,
    clip: float | None = 1.0,
    validation: Sequence[Batch] = (),
    every: int = 200,
    watch: bool = False,
    start: int = 0,
    tokens: int = 0,
    stopping: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
) -> Iterator[TrainStep]:
    """Train up to the last step of the schedule or the end of the time; yield a record after every update.

    Args:
        model: changed in place.
        batches: the batch of every step; their seed is that of the dropout masks too.
        schedule: the learning rate of every step.
        clip: the largest global norm of the gradients; None does not clip.
        validation: batches whose loss is measured after every `every` steps and after the last one.
        every: steps between two validations.
        watch: the records also carry the loss of every target and the norms of every parameter.
        start: updates that the model has had already.
        tokens: targets seen before `start`.
        stopping: asked before every batch of a validation; where it answers True, the validation is given
            up, and the record has none.
        clock: for a training that ends at a time; its schedule, its validations and its end count then.

    Raises:
        MinilmError: a loss, or in watched steps a gradient, is not finite.
    """
    step, last = start, start >= schedule.steps
    if clock is not None:
        clock.mark(start)
        last = clock.over
    while not last:
        batch = batches.batch(step)
        tokens += batch.tokens
        record = one_step(
            model,
            batch,
            seed=batches.seed,
            index=step + 1,
            rate=schedule.at(step) if clock is None else clock.schedule.at(step),
            clip=clip,
            tokens=tokens,
            watch=watch,
        )
        step += 1
        if clock is None:
            last = step == schedule.steps
            due = last or step % every == 0
        else:
            clock.mark(step)
            last, due = clock.over, clock.due
        if validation and due:
            began = perf_counter()
            with suppress(_StoppedError):
                record = replace(record, validation=evaluate(model, _until(stopping, validation)))
            if clock is not None:
                clock.took(perf_counter() - began)
        yield record


class _StoppedError(Exception):
    """A validation was given up."""


def _until(stopping: Callable[[], bool], batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches; raise _StoppedError before the first one at which the training is to stop."""
    for batch in batches:
        if stopping():
            raise _StoppedError
        yield batch


def evaluate(model: Trainable, batches: Iterable[Batch]) -> float:
    """Return the loss of some batches in nats per token; every target counts once."""
    total, tokens = 0.0, 0
    for batch in batches:
        total += float(model.losses(batch.inputs, batch.targets, batch.mask).sum(dtype=np.float64))
        tokens += batch.tokens
    return total / tokens


def planned_steps(model: Trainable, batches: Batches, minutes: float, trials: int = 8) -> int:
    """Return how many steps fit into some minutes on this machine; the model stays as it was.

    Args:
        model: it is trained for a few steps, then restored.
        batches: what it will be trained on.
        minutes: the time for all steps.
        trials: steps that are timed, after two that are not.
    """
    snapshot = model.snapshot()
    times: list[float] = []
    for step in range(trials + 2):
        batch = batches.batch(step)
        began = perf_counter()
        model.update(batch_gradients(model, batch, batches.seed, step), 1e-6, 1.0)
        times.append(perf_counter() - began)
    model.restore(snapshot)
    return max(int(minutes * 60 / float(np.median(times[2:]))), 1)
