"""A whole watched run, as the checks read it: its steps, their details, its probes and its padding.

This file measures; the verdicts are in checks/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minilm.doctor.records import Observation, Probes, Record, StepDetails
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["WatchedRun", "global_norm"]


@dataclass(frozen=True)
class WatchedRun:
    """The records of one run, sorted by kind.

    Attributes:
        steps: The training steps, in order.
        probes: The answers to probes, in order.
    """

    steps: tuple[Observation, ...]
    probes: tuple[Probes, ...]

    __repr__ = one_line

    @classmethod
    def of(cls, records: Iterable[Record]) -> WatchedRun:
        """Return the run that these records describe."""
        kept = list(records)
        steps = tuple(record for record in kept if isinstance(record, Observation))
        return cls(steps, tuple(record for record in kept if isinstance(record, Probes)))

    @property
    def detailed_steps(self) -> Iterator[tuple[Observation, StepDetails]]:
        """The steps that have details, each with its details."""
        return ((step, step.look) for step in self.steps if step.look is not None)

    def agreement(self, shift: int) -> float:
        """Return the share of the counted targets that equal the input `shift` positions later.

        A correct loop has agreement(1) == 1: each target is the next id.

        Args:
            shift: Positions from the input to the target; 0 means the id that was just read.
        """
        equal = counted = 0
        for _, details in self.detailed_steps:
            first, last = max(0, -shift), details.ids.shape[1] - max(0, shift)
            if first >= last:
                continue
            counts = details.weights[:, first:last] > 0
            shifted_ids = details.ids[:, first + shift : last + shift]
            equal += int((details.targets[:, first:last] == shifted_ids)[counts].sum())
            counted += int(counts.sum())
        return equal / counted if counted else 0.0

    @cached_property
    def padding_id(self) -> int | None:
        """The id that fills rows up; None where no id does.

        Padding occurs only at the ends of rows, in runs of different lengths.
        """
        rows = [row for _, details in self.detailed_steps for row in details.ids]
        last_ids = Counter(int(row[-1]) for row in rows if _length_of_last_run(row) > 1)
        for token, count in last_ids.most_common(1):
            runs = [_length_of_last_run(row) if row[-1] == token else 0 for row in rows]
            inside = any((row[: len(row) - run] == token).any() for row, run in zip(rows, runs, strict=True))
            if count > 1 and len(set(runs)) > 1 and not inside:
                return token
        return None

    def is_padding(self, ids: Array) -> Array:
        """Return (B, T) of bool: True where ids (B, T) is padding."""
        return np.zeros(ids.shape, bool) if self.padding_id is None else ids == self.padding_id


def _length_of_last_run(row: Array) -> int:
    """Return how many equal ids end a row.

    >>> _length_of_last_run(np.array([5, 0, 7, 7, 7]))
    3
    """
    different = np.flatnonzero(row != row[-1])
    return len(row) - 1 - int(different[-1]) if len(different) else len(row)


def global_norm(norms: Mapping[str, float]) -> float:
    """Return the global norm of norms by parameter: sqrt(sum of squares).

    >>> global_norm({"a": 3.0, "b": 4.0})
    5.0
    """
    return float(np.sqrt(sum(np.square(list(norms.values())))))
