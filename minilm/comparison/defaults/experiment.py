"""A NumPy subject in which every injectable row can be switched on, alone or with others."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from minilm.comparison.defaults import beginnings, forward, loops, optimizers, padding
from minilm.comparison.defaults.table import INJECTABLE, named
from minilm.records import Array

__all__ = ["FAMILIES", "Experiment"]

FAMILIES = (forward, padding, loops, beginnings, optimizers)


class Experiment:
    """A subject of the parity doctor (causes.py): what is on is known to it alone."""

    rows = INJECTABLE
    tolerance = 1e-12

    def __init__(self, on: Iterable[str] = (), name: str = "numpy") -> None:
        self.name, self._on = name, named(on)

    def observe(self, neutral: frozenset[str] = frozenset()) -> dict[str, Array]:
        """Everything that is measured, by name, with some rows in their neutral form."""
        left = self._on - neutral
        found: dict[str, Array] = {}
        for place, family in enumerate(FAMILIES):
            found |= _observed(place, left & family.NAMES)
        return found


@lru_cache(maxsize=256)
def _observed(place: int, on: frozenset[str]) -> dict[str, Array]:
    """What one family says; most runs of the doctor change one family alone."""
    return FAMILIES[place].observe(on)
