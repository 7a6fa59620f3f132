"""The difference between two branches of a training, step by step from where they part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.training.step import norm
from minilm.training.timeline.timeline import Timeline

__all__ = ["BranchStep", "WeightDifference", "branch_steps", "weight_differences"]


@dataclass(frozen=True, slots=True)
class BranchStep:
    """One step in both branches; each pair is (first branch, second branch).

    Attributes:
        index: the number of the step, from 1.
        losses: nats per token.
        rates: the learning rates.
        gradients: the global norms of the gradients, before clipping.
        same_batch: both branches had the same batch.
    """

    index: int
    losses: tuple[float, float]
    rates: tuple[float, float]
    gradients: tuple[float, float]
    same_batch: bool

    @property
    def equal(self) -> bool:
        """True where the step is the same in both branches."""
        pairs = (self.losses, self.rates, self.gradients)
        return self.same_batch and all(a == b for a, b in pairs)


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """One parameter in both branches.

    Attributes:
        apart: the Euclidean norm of the difference of the two.
        weight: the Euclidean norm of the first.
    """

    apart: float
    weight: float


def branch_steps(one: Timeline, other: Timeline) -> Iterator[BranchStep]:
    """Yield the steps of both branches, from their first difference to the earlier of the two places.

    Raises:
        MinilmError: the places belong to two trainings.
    """
    _check_same_training(one, other)
    last = min(one.index, other.index)
    for index in range(find_last_equal_step(one, other) + 1, last + 1):
        a, b = (line.replay.record(line.plan, index) for line in (one, other))
        gradients = (a.gradient_norm or 0.0, b.gradient_norm or 0.0)
        same = np.array_equal(a.ids, b.ids)
        yield BranchStep(index, (a.loss, b.loss), (a.rate, b.rate), gradients, same)


# The weights of a branch that has diverged are not finite.
@np.errstate(over="ignore", invalid="ignore")
def weight_differences(one: Timeline, other: Timeline) -> Mapping[str, WeightDifference]:
    """Return the difference of every parameter between two places, by its name."""
    _check_same_training(one, other)
    first = {name: array.copy(order="K") for name, array in one.model.weights().items()}
    second = other.model.weights()
    return {name: WeightDifference(norm(a - second[name]), norm(a)) for name, a in first.items()}


def find_last_equal_step(one: Timeline, other: Timeline) -> int:
    """Return the number of updates after which two branches are equal for the last time."""
    last = min(one.index, other.index)
    equal = (
        step for step in range(last, one.first - 1, -1) if one.plan.history(step) == other.plan.history(step)
    )
    return next(equal)


def _check_same_training(one: Timeline, other: Timeline) -> None:
    if one.replay is not other.replay:
        raise MinilmError("Two branches are compared, got places of two trainings; branch from one timeline")
