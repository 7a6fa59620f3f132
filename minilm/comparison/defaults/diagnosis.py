"""Find which of the known defaults make two subjects differ, by trying their neutral forms.

The diagnosis is not told what is switched on. It runs both subjects with every default neutral but one, and
sees whether they differ. A difference that remains with every default neutral has an unknown cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from minilm.comparison.defaults import net_defaults as net
from minilm.comparison.defaults import training_defaults as training
from minilm.comparison.defaults.table import DEFAULTS, INJECTABLE, Default, check_names
from minilm.difference import largest_difference, scale_difference
from minilm.records import Array

__all__ = ["FAMILIES", "Cause", "Diagnosis", "Experiment", "Gap", "Subject", "diagnose", "find_gap"]


class Subject(Protocol):
    """One side of a comparison; each of its defaults can be made neutral."""

    @property
    def name(self) -> str:
        """Its name in a sentence."""
        ...

    @property
    def defaults(self) -> Sequence[str]:
        """The defaults whose neutral form it knows."""
        ...

    @property
    def tolerance(self) -> float:
        """The largest difference that counts as equal."""
        ...

    def observe(self, neutral: frozenset[str] = frozenset()) -> Mapping[str, Array]:
        """Return everything that is measured, by name.

        Args:
            neutral: the defaults that are in their neutral form.
        """
        ...


Family = tuple[frozenset[str], Callable[[frozenset[str]], dict[str, Array]]]

# The defaults that are measured together, and the function that measures them.
FAMILIES: tuple[Family, ...] = (
    (net.FORWARD, net.observe_forward),
    (net.PADDING, net.observe_padding),
    (training.LOOP, training.observe_loop),
    (net.FIRST_WEIGHTS, net.observe_first_weights),
    (training.OPTIMIZER, training.observe_optimizer),
)


class Experiment:
    """A subject in NumPy in which defaults are switched on, to see whether the diagnosis names them.

    Args:
        on: the names of the defaults that are on.
        name: its name in a sentence.
    """

    defaults = INJECTABLE
    tolerance = 1e-12

    def __init__(self, on: Iterable[str] = (), name: str = "numpy") -> None:
        self.name, self._on = name, check_names(on)

    def observe(self, neutral: frozenset[str] = frozenset()) -> dict[str, Array]:
        """Return everything that is measured, by name.

        Args:
            neutral: the defaults that are in their neutral form.
        """
        on = self._on - neutral
        found: dict[str, Array] = {}
        for place, (names, _) in enumerate(FAMILIES):
            found |= _observe_family(place, on & names)
        return found


# Most runs of a diagnosis change one family, so the others are computed once.
@lru_cache(maxsize=256)
def _observe_family(place: int, on: frozenset[str]) -> dict[str, Array]:
    return FAMILIES[place][1](on)


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two observations.

    Attributes:
        apart: the difference; infinite for unequal words.
        where: the name of what differs most.
    """

    apart: float
    where: str

    def __str__(self) -> str:
        return f"{self.apart:.1e} in {self.where}" if np.isfinite(self.apart) else f"unequal in {self.where}"


@dataclass(frozen=True, slots=True)
class Cause:
    """A default that makes the two subjects differ.

    Attributes:
        default: its entry in the table.
        alone: the difference with every other default neutral.
        left: what is left of it, in the same place, with only this default neutral.
    """

    default: Default
    alone: Gap
    left: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why two subjects differ.

    Attributes:
        reference: the name of the first subject.
        suspect: the name of the second subject.
        tolerance: the largest difference that counts as equal.
        found: the difference of the subjects as they are.
        unexplained: the difference with every default neutral.
        causes: the defaults that make them differ.
        measured: by name, the difference that each default makes alone; 0 where it makes none.
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
        """True where the two are within the tolerance as they are."""
        return self.found.apart <= self.tolerance

    @property
    def explained(self) -> bool:
        """True where the defaults explain the whole difference."""
        return self.unexplained.apart <= self.tolerance


def diagnose(reference: Subject, suspect: Subject, tolerance: float | None = None) -> Diagnosis:
    """Measure what every default does alone; one run of the pair for each, and one more for each cause.

    Args:
        reference: the first subject.
        suspect: the second subject.
        tolerance: the largest difference that counts as equal; that of the subjects by default.
    """
    bound = max(reference.tolerance, suspect.tolerance) if tolerance is None else tolerance
    every = frozenset(reference.defaults) | frozenset(suspect.defaults)

    def run(neutral: frozenset[str], only: str | None = None) -> Gap:
        one, other = reference.observe(neutral), suspect.observe(neutral)
        return find_gap(one if only is None else {only: one[only]}, other)

    found, unexplained = run(frozenset()), run(every)
    alone = {name: run(every - {name}) for name in DEFAULTS if name in every}
    # What no default explains is part of every run, so a cause must be clearly larger.
    above = max(bound, 3 * unexplained.apart)
    causes = tuple(
        Cause(DEFAULTS[name], gap, run(frozenset({name}), gap.where).apart)
        for name, gap in alone.items()
        if not gap.apart <= above
    )
    measured = {name: gap.apart for name, gap in alone.items()}
    return Diagnosis(reference.name, suspect.name, bound, found, unexplained, causes, measured)


def find_gap(one: Mapping[str, Array], other: Mapping[str, Array]) -> Gap:
    """Return the largest difference over all that two observations share; NaN counts as infinite.

    Args:
        one: arrays by name.
        other: arrays by name.

    >>> str(find_gap({"loss": np.array([1.0, 2.0])}, {"loss": np.array([1.0, 2.5])}))
    '5.0e-01 in loss'
    """
    gaps = [
        Gap(scale_difference(largest_difference(one[name], other[name]), 0.0), name)
        for name in one
        if name in other
    ]
    return max(gaps, key=lambda gap: gap.apart, default=Gap(0.0, "nothing"))
