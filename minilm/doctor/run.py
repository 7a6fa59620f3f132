"""A whole watched run, as the checks read it: its steps, their details, its probes and its padding.

This file measures; the verdicts are in checks/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minilm.doctor.records import Ending, Observation, Probes, Record, StepDetails
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["WatchedRun", "combine_norms"]


@dataclass(frozen=True)
class WatchedRun:
    """The records of one run, sorted by kind.

    Attributes:
        steps: The training steps, in order.
        probes: The answers to probes, in order.
        ending: How the run ended; None where it ended by itself.
    """

    steps: tuple[Observation, ...]
    probes: tuple[Probes, ...]
    ending: Ending | None = None

    __repr__ = one_line

    @classmethod
    def of(cls, records: Iterable[Record]) -> WatchedRun:
        """Return the run that these records describe."""
        kept = list(records)
        steps = tuple(record for record in kept if isinstance(record, Observation))
        probes = tuple(record for record in kept if isinstance(record, Probes))
        return cls(steps, probes, next((record for record in kept if isinstance(record, Ending)), None))

    @property
    def detailed_steps(self) -> Iterator[tuple[Observation, StepDetails]]:
        """The steps that have details, each with its details."""
        return ((step, step.look) for step in self.steps if step.look is not None)

    @property
    def has_targets(self) -> bool:
        """True where targets and the ids after them are known, so that a shift can be judged."""
        return any(
            details.ids.shape[1] > 1 and details.weights.any() and details.explained
            for _, details in self.detailed_steps
        )

    @property
    def continues_texts(self) -> bool:
        """True where most rows of some batch go on where the last batch ended."""
        return any((step.continues or 0) >= 0.5 for step in self.steps)

    @property
    def is_improving(self) -> bool:
        """True where the loss has fallen by at least 10 % from its start, and does not rise at the end."""
        losses = np.array([step.loss for step in self.steps])
        if len(losses) < 6 or not np.isfinite(losses).all():
            return False
        third = len(losses) // 3
        middle, late = np.median(losses[third : 2 * third]), np.median(losses[-third:])
        return bool(late < losses[0] - 0.1 * abs(losses[0]) and late <= 1.05 * abs(middle))

    def update_ratios(self) -> list[float]:
        """Return for every detailed step and parameter its update as a share of the weight."""
        return [
            details.updates[name] / size
            for _, details in self.detailed_steps
            for name, size in details.sizes.items()
            if size > 0 and name in details.updates
        ]

    def largest_update(self, before: int | None = None) -> float:
        """Return the largest update of all parameters at once, as a share of their size; 0 if unknown.

        Args:
            before: The step before which the updates are wanted; None for all steps.
        """
        detailed = [one for one in self.detailed_steps if before is None or one[0].step < before]
        sizes = [(combine_norms(details.updates), combine_norms(details.sizes)) for _, details in detailed]
        return max((update / size for update, size in sizes if size > 0), default=0.0)

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
        rows = [row for _, details in self.detailed_steps for row in details.ids if len(row)]
        last_ids = Counter(int(row[-1]) for row in rows if _length_of_last_run(row) > 1)
        for token, count in last_ids.most_common(1):
            runs = [_length_of_last_run(row) if row[-1] == token else 0 for row in rows]
            inside = any((row[: len(row) - run] == token).any() for row, run in zip(rows, runs, strict=True))
            if count > 1 and len(set(runs)) > 1 and max(runs) > 2 and not inside:
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


def combine_norms(norms: Mapping[str, float]) -> float:
    """Return the global norm of norms by parameter: sqrt(sum of squares).

    >>> combine_norms({"a": 3.0, "b": 4.0})
    5.0
    """
    return float(np.sqrt(sum(np.square(list(norms.values())))))
