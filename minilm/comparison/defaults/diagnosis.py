"""The parity doctor: which of the known differences make two subjects differ, found by trying neutral forms.

It is told nothing of what is switched on: it runs both subjects, with every row neutral but one, and sees
whether they part. A difference that is left with every row neutral has a cause that no row knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from minilm.comparison.defaults.table import ROWS, Row
from minilm.records import Array

__all__ = ["Cause", "Diagnosis", "Gap", "Subject", "diagnose", "gap"]


class Subject(Protocol):
    """One side of a comparison: it can be run with any of its rows in their neutral form."""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        ...

    @property
    def rows(self) -> Sequence[str]:
        """The rows whose neutral form it knows."""
        ...

    @property
    def tolerance(self) -> float:
        """What is as good as equal."""
        ...

    def observe(self, neutral: frozenset[str] = frozenset()) -> Mapping[str, Array]:
        """Everything that is measured, by name."""
        ...


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two observations, and what differs; infinite for unequal words."""

    apart: float
    where: str

    def __str__(self) -> str:
        return f"{self.apart:.1e} in {self.where}" if np.isfinite(self.apart) else f"unlike in {self.where}"


@dataclass(frozen=True, slots=True)
class Cause:
    """A row that parts the two. alone: with every other row neutral; left: there, with only this neutral."""

    row: Row
    alone: Gap
    left: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Two subjects, the difference as they are, what is left with every row neutral, and the causes.

    measured: by name, what every row does alone on this pair; 0 where it does nothing.
    """

    reference: str
    suspect: str
    tolerance: float
    found: Gap
    unexplained: Gap
    causes: tuple[Cause, ...]
    measured: Mapping[str, float]

    @property
    def equal(self) -> bool:
        """Whether the two are within the tolerance as they are."""
        return self.found.apart <= self.tolerance

    @property
    def explained(self) -> bool:
        """Whether the rows explain the whole difference."""
        return self.unexplained.apart <= self.tolerance


def diagnose(reference: Subject, suspect: Subject, tolerance: float | None = None) -> Diagnosis:
    """Measure every row that either subject has; one run of the pair a row, and one more a cause."""
    bound = max(reference.tolerance, suspect.tolerance) if tolerance is None else tolerance
    every = frozenset(reference.rows) | frozenset(suspect.rows)

    def run(neutral: frozenset[str], only: str | None = None) -> Gap:
        one, other = reference.observe(neutral), suspect.observe(neutral)
        return gap(one if only is None else {only: one[only]}, other)

    found, unexplained = run(frozenset()), run(every)
    alone = {name: run(every - {name}) for name in ROWS if name in every}
    above = max(bound, 3 * unexplained.apart)  # what no row explains is in every run
    causes = tuple(
        Cause(ROWS[name], one, run(frozenset({name}), one.where).apart)
        for name, one in alone.items()
        if not one.apart <= above
    )
    measured = {name: one.apart for name, one in alone.items()}
    return Diagnosis(reference.name, suspect.name, bound, found, unexplained, causes, measured)


def gap(one: Mapping[str, Array], other: Mapping[str, Array]) -> Gap:
    """The largest difference over all that both measured; NaN and unequal words count as infinite.

    >>> str(gap({"loss": np.array([1.0, 2.0])}, {"loss": np.array([1.0, 2.5])}))
    '5.0e-01 in loss'
    """
    found = [Gap(_apart(one[name], other[name]), name) for name in one if name in other]
    return max(found, key=lambda each: each.apart, default=Gap(0.0, "nothing"))


def _apart(one: Array, other: Array) -> float:
    if one.dtype.kind == "U" or one.shape != other.shape:
        return 0.0 if np.array_equal(one, other) else float("inf")
    apart = float(np.abs(one - other).max())
    return apart if apart == apart else float("inf")
