"""Two branches of a training held against each other, step by step from where they part."""

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
    """One step in both branches; gradient: the global norm before clipping; index from 1."""

    index: int
    losses: tuple[float, float]
    rates: tuple[float, float]
    gradients: tuple[float, float]
    same_batch: bool

    @property
    def equal(self) -> bool:
        """Whether both branches did the very same."""
        pairs = (self.losses, self.rates, self.gradients)
        return self.same_batch and all(a == b for a, b in pairs)


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """One parameter in both branches: the norm of their difference, and of the first's own."""

    apart: float
    weight: float


def branch_steps(one: Timeline, other: Timeline) -> Iterator[BranchStep]:
    """Both branches from their first difference to the earlier of the two places.

    Raises MinilmError for places of two different trainings.
    """
    _check_kin(one, other)
    last = min(one.index, other.index)
    for index in range(parting(one, other) + 1, last + 1):
        a, b = (line.replay.record(line.plan, index) for line in (one, other))
        gradients = (a.gradient_norm or 0.0, b.gradient_norm or 0.0)
        same = np.array_equal(a.ids, b.ids)
        yield BranchStep(index, (a.loss, b.loss), (a.rate, b.rate), gradients, same)


@np.errstate(over="ignore", invalid="ignore")  # branches may have diverged
def weight_differences(one: Timeline, other: Timeline) -> Mapping[str, WeightDifference]:
    """Every parameter of both places: how far apart they are."""
    _check_kin(one, other)
    first = {name: array.copy(order="K") for name, array in one.model.weights().items()}
    second = other.model.weights()
    return {name: WeightDifference(norm(a - second[name]), norm(a)) for name, a in first.items()}


def parting(one: Timeline, other: Timeline) -> int:
    """Updates after which two branches stand alike for the last time, at most the earlier place's."""
    last = min(one.index, other.index)
    alike = (
        step for step in range(last, one.first - 1, -1) if one.plan.history(step) == other.plan.history(step)
    )
    return next(alike)


def _check_kin(one: Timeline, other: Timeline) -> None:
    if one.replay is not other.replay:
        raise MinilmError("Two branches are compared, got places of two trainings; branch from one timeline")
