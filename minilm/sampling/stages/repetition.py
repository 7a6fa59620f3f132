"""Stages against repetition: they lower or remove tokens that are in the context already."""

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


def _count(context: Context, last: int | None) -> tuple[Array, Array]:
    """Return the ids that count and how often each occurs: the generated ones, or the `last` ones of all."""
    seen = context.ids[context.prompt_length :] if last is None else context.ids[-last:]
    return np.unique(seen, return_counts=True)


def _lower(scores: Scores, ids: Array, by: Array) -> Scores:
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
    """Subtracts a penalty, once, from every id that was generated.

    s_i <- s_i - penalty, if i occurs

    Attributes:
        penalty: Nats; below 0 it makes repetition likelier.
        last: Look at that many of the latest ids, prompt included; None for the generated ids alone.
    """

    penalty: float
    last: int | None = None

    def __post_init__(self) -> None:
        _check("Presence", self.penalty, self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the same survivors, with lower scores where they occurred."""
        ids, counts = _count(context, self.last)
        # s_i <- s_i - penalty
        return _lower(scores, ids, np.full(counts.shape, self.penalty))


@dataclass(frozen=True, repr=False, eq=False)
class Frequency(Stage):
    """Subtracts a penalty from every id, for each time that it was generated.

    s_i <- s_i - penalty * count_i

    Attributes:
        penalty: Nats; below 0 it makes repetition likelier.
        last: Look at that many of the latest ids, prompt included; None for the generated ids alone.
    """

    penalty: float
    last: int | None = None

    def __post_init__(self) -> None:
        _check("Frequency", self.penalty, self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the same survivors, with lower scores where they occurred."""
        ids, counts = _count(context, self.last)
        # s_i <- s_i - penalty * count_i
        return _lower(scores, ids, counts * self.penalty)


@dataclass(frozen=True, repr=False, eq=False)
class NoRepeatNgram(Stage):
    """Removes the tokens that would repeat k ids in a row of the context (Paulus et al., 2017).

    remove i if (the last k - 1 ids, i) occurs in the context

    Attributes:
        k: The length of what may not be repeated, from 1; with 1, no id comes twice.
    """

    k: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("NoRepeatNgram", self.k, 1)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors that make a new sequence of k ids."""
        ids, n = context.ids, self.k - 1
        if len(ids) < self.k:
            return scores
        # (n - k + 1, k) every k ids in a row
        rows = np.lib.stride_tricks.sliding_window_view(ids, self.k)
        # The last id of each row whose first k - 1 ids are the last of the context.
        ends = rows[(rows[:, :n] == ids[len(ids) - n :]).all(axis=1), n]
        return scores.keep(~np.isin(scores.ids, ends)) if ends.size else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the length of what each would repeat."""
        return [f"would repeat {self.k} ids in a row"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class RepetitionPenalty(Stage):
    """Makes every id of the context, prompt included, less likely, once (CTRL; Keskar et al., 2019).

    s_i <- s_i / theta if s_i >= 0, else s_i * theta

    So the effect depends on where the scores are 0, though the softmax does not.

    Attributes:
        theta: Above 0; 1 changes nothing, below 1 makes repetition likelier.
        last: Look at that many of the latest ids; None for all.
    """

    theta: float
    last: int | None = None

    def __post_init__(self) -> None:
        if not 1 / HUGE <= self.theta <= HUGE:
            bounds = f"above 0, {1 / HUGE:g} to {HUGE:g}"
            raise MinilmError(f"RepetitionPenalty must be {bounds}, got {self.theta}; 1 changes nothing")
        check_last("RepetitionPenalty", self.last)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the same survivors, with lower scores where they occurred."""
        if self.theta == 1:
            return scores
        seen = context.ids if self.last is None else context.ids[-self.last :]
        # An id that occurs twice is set twice to the same score.
        where = places(scores, seen)
        old = scores.values[where]
        theta = np.float32(self.theta)
        # For theta > 1 the smaller of the two is s / theta above 0, and s * theta below 0.
        smaller = np.minimum if self.theta > 1 else np.maximum
        return scores.changed(where, smaller(old * theta, old / theta))

    def gain(self, context: Context) -> float:
        """Return theta or 1 / theta, the larger."""
        return max(self.theta, 1 / self.theta)
