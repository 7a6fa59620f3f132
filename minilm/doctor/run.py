"""A whole run as the checks read it: its steps, its close looks, its probes, and what they have in common.

No verdict falls here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minilm.doctor.records import Look, Observation, Probes, Record
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["Run", "total"]


@dataclass(frozen=True)
class Run:
    """Records sorted by kind; looks: (observation, its close look)."""

    steps: tuple[Observation, ...]
    probes: tuple[Probes, ...]

    __repr__ = one_line

    @classmethod
    def of(cls, records: Iterable[Record]) -> Run:
        """The run that these records tell of."""
        kept = list(records)
        steps = tuple(record for record in kept if isinstance(record, Observation))
        return cls(steps, tuple(record for record in kept if isinstance(record, Probes)))

    @property
    def looks(self) -> Iterator[tuple[Observation, Look]]:
        """The steps that were looked at closely."""
        return ((seen, seen.look) for seen in self.steps if seen.look is not None)

    def agreement(self, shift: int) -> float:
        """Share of the counted targets that are the id `shift` places on; 1 is what is to be learnt."""
        equal = counted = 0
        for _, look in self.looks:
            at = range(max(0, -shift), look.ids.shape[1] - max(0, shift))
            if not at:
                continue
            span = slice(at.start, at.stop)
            kept = look.weights[:, span] > 0
            moved = look.ids[:, at.start + shift : at.stop + shift]
            equal += int((look.targets[:, span] == moved)[kept].sum())
            counted += int(kept.sum())
        return equal / counted if counted else 0.0

    @cached_property
    def padding_id(self) -> int | None:
        """The id that fills rows up: it stands only in runs at their ends, of unequal lengths."""
        rows = [row for _, look in self.looks for row in look.ids]
        ends = Counter(int(row[-1]) for row in rows if _run_at_end(row) > 1)
        for token, count in ends.most_common(1):
            runs = [_run_at_end(row) if row[-1] == token else 0 for row in rows]
            inside = any((row[: len(row) - run] == token).any() for row, run in zip(rows, runs, strict=True))
            if count > 1 and len(set(runs)) > 1 and not inside:
                return token
        return None

    def padded(self, ids: Array) -> Array:
        """Where ids (B, T) is padding, as (B, T) of bool."""
        return np.zeros(ids.shape, bool) if self.padding_id is None else ids == self.padding_id


def _run_at_end(row: Array) -> int:
    """How many equal ids end a row.

    >>> _run_at_end(np.array([5, 0, 7, 7, 7]))
    3
    """
    other = np.flatnonzero(row != row[-1])
    return len(row) - 1 - int(other[-1]) if len(other) else len(row)


def total(norms: Mapping[str, float]) -> float:
    """The global norm of norms by parameter.

    >>> total({"a": 3.0, "b": 4.0})
    5.0
    """
    return float(np.sqrt(sum(np.square(list(norms.values())))))
