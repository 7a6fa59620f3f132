"""The training loop: gradients, then an update, and a record of every step.

It knows no framework, saves nothing and prints nothing; who iterates may stop, look, or save between steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig, TrainStep
from minilm.training.batches import Batch, Batches
from minilm.training.step import one_step

__all__ = ["Schedule", "dropout_masks", "evaluate", "fit", "planned_steps"]


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step: a linear rise, then half a cosine down to `final` of the peak.

    steps: of the whole run; rate: the peak. A pure function of the step, so that a resumed run goes on alike.
    """

    rate: float
    steps: int
    warm_up: int = 20
    final: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise MinilmError(f"The learning rate must be a number above 0, got {self.rate}")

    def at(self, step: int) -> float:
        """The rate of a step, from 0.

        >>> [round(Schedule(1.0, 100, warm_up=4).at(step), 3) for step in (0, 3, 4, 52, 99)]
        [0.25, 1.0, 1.0, 0.502, 0.02]
        """
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(self.steps - self.warm_up - 1, 1)
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
) -> Iterator[TrainStep]:
    """Train from step `start` to the schedule's last; one record after every update.

    validation: batches to measure after every `every` steps and after the last; watch: records also carry
    losses and norms; tokens: targets seen before `start`. Raises MinilmError where a loss or a gradient
    is not finite.
    """
    for step in range(start, schedule.steps):
        batch = batches.batch(step)
        masks = dropout_masks(model.config, batches.seed, step, batch.inputs.shape)
        tokens += batch.tokens
        record = one_step(
            model,
            batch,
            masks,
            index=step + 1,
            rate=schedule.at(step),
            clip=clip,
            tokens=tokens,
            watch=watch,
        )
        if validation and ((step + 1) % every == 0 or step + 1 == schedule.steps):
            record = replace(record, validation=evaluate(model, validation))
        yield record


def evaluate(model: Trainable, batches: Sequence[Batch]) -> float:
    """Nats per token of held-out batches, every target counted once."""
    total = sum(float(model.losses(b.inputs, b.targets, b.mask).sum(dtype=np.float64)) for b in batches)
    return total / sum(batch.tokens for batch in batches)


def dropout_masks(config: ModelConfig, seed: int, step: int, shape: tuple[int, ...]) -> list[Array] | None:
    """The masks of a step, one (B, T, H) per layer, divided by the share kept; None without dropout."""
    if not config.dropout:
        return None
    keep = 1 - config.dropout
    masks: list[Array] = []
    for layer in range(config.layers):
        dice = generator(seed, "dropout", step, layer)
        kept = dice.random((*shape, config.hidden_size), dtype=np.float32) < keep
        masks.append(kept.astype(np.float32) / np.float32(keep))
    return masks


def planned_steps(model: Trainable, batches: Batches, minutes: float, trials: int = 8) -> int:
    """How many steps fit into some minutes here, measured on a few; the model is left as it was."""
    snapshot = model.snapshot()
    times: list[float] = []
    for step in range(trials + 2):
        batch = batches.batch(step)
        masks = dropout_masks(model.config, batches.seed, step, batch.inputs.shape)
        began = perf_counter()
        model.update(model.gradients(batch.inputs, batch.targets, batch.mask, masks), 1e-6, 1.0)
        times.append(perf_counter() - began)
    model.restore(snapshot)
    return max(int(minutes * 60 / float(np.median(times[2:]))), 1)
