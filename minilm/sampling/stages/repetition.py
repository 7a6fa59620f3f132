"""Stages that look back at the context: presence, frequency, n-grams, sequences and bad words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stage import HUGE, Stage, check_last, check_whole

__all__ = ["Frequency", "NoRepeatNgram", "Presence", "RepetitionPenalty"]


def _counted(context: Context, last: int | None) -> tuple[Array, Array]:
    """The ids that count and how often each occurs: the generated ones, or the last so many of all."""
    seen = context.ids[context.prompt_length :] if last is None else context.ids[-last:]
    return np.unique(seen, return_counts=True)


def _lowered(scores: Scores, ids: Array, by: Array) -> Scores:
    where = places(scores, ids)
    if not where.size:
        return scores
    amount = by[np.searchsorted(ids, scores.ids[where])]
    return scores.changed(where, scores.values[where] - amount.astype(np.float32))


def _check(name: str, value: float, last: int | None) -> None:
    if not abs(value) <= HUGE:
        raise MinilmError(f"{name} must be a number of nats, {HUGE:g} at most, got {value!s:.40}")
    check_last(name, last)


@dataclass(frozen=True, repr=False, eq=False)
class Presence(Stage):
    """Takes `penalty` off every id that was generated, once; with last, of the latest ids of all."""

    penalty: float
    last: int | None = None

    def __post_init__(self) -> None:
        _check("Presence", self.penalty, self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors; those that occurred have moved."""
        ids, counts = _counted(context, self.last)
        return _lowered(scores, ids, np.full(counts.shape, self.penalty))


@dataclass(frozen=True, repr=False, eq=False)
class Frequency(Stage):
    """Takes `penalty` off every id for each time it was generated; with last, in the latest ids of all."""

    penalty: float
    last: int | None = None

    def __post_init__(self) -> None:
        _check("Frequency", self.penalty, self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors; those that occurred have moved."""
        ids, counts = _counted(context, self.last)
        return _lowered(scores, ids, counts * self.penalty)


@dataclass(frozen=True, repr=False, eq=False)
class NoRepeatNgram(Stage):
    """Removes what would repeat k ids in a row that already stand in the context (Paulus et al., 2017)."""

    k: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("NoRepeatNgram", self.k, 1)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that make a new n-gram; with k = 1, those never seen."""
        ids, n = context.ids, self.k - 1
        if len(ids) < self.k:
            return scores
        rows = np.lib.stride_tricks.sliding_window_view(ids, self.k)
        ends = rows[(rows[:, :n] == ids[len(ids) - n :]).all(axis=1), n]
        return scores.keep(~np.isin(scores.ids, ends)) if ends.size else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The length of what each would repeat."""
        return [f"would repeat {self.k} ids in a row"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class RepetitionPenalty(Stage):
    """Makes every id of the context, prompt included, less likely, once (Keskar et al., 2019).

    A score s becomes s / theta where s >= 0 and s x theta below 0; so it depends on where 0 lies.
    last: look at that many of the latest ids alone.
    """

    theta: float
    last: int | None = None

    def __post_init__(self) -> None:
        if not 1 / HUGE <= self.theta <= HUGE:
            bounds = f"above 0, {1 / HUGE:g} to {HUGE:g}"
            raise MinilmError(f"RepetitionPenalty must be {bounds}, got {self.theta}; 1 changes nothing")
        check_last("RepetitionPenalty", self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors; those that occurred have moved."""
        if self.theta == 1:
            return scores
        seen = context.ids if self.last is None else context.ids[-self.last :]
        where = places(scores, seen)  # an id that occurs twice is set twice to the same score
        old = scores.values[where]
        theta = np.float32(self.theta)
        smaller = np.minimum if self.theta > 1 else np.maximum
        return scores.changed(where, smaller(old * theta, old / theta))

    def gain(self, context: Context) -> float:
        """That of a score below 0, or above."""
        return max(self.theta, 1 / self.theta)
