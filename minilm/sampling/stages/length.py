"""Stages that hold or force certain tokens: lengths, suppressed ids, first and last tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stage import HUGE, Stage, check_ids, check_known, check_whole

__all__ = [
    "ForcedBos",
    "ForcedEos",
    "LengthDecay",
    "MinLength",
    "MinNewTokens",
    "Suppress",
    "SuppressAtBegin",
]


def _without(scores: Scores, ids: Sequence[int]) -> Scores:
    where = places(scores, ids)
    if not where.size:
        return scores
    keep = np.ones(scores.ids.size, dtype=bool)
    keep[where] = False
    return scores.keep(keep)


def _only(token_id: int) -> Scores:
    """One survivor, with the score 0, whatever the stages before it left."""
    return Scores(np.array([token_id]), np.zeros(1, np.float32))


@dataclass(frozen=True, repr=False, eq=False)
class MinLength(Stage):
    """Removes what ends a text while it is shorter than n ids, prompt included."""

    n: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("MinLength", self.n, 0)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that go on, until the length is reached."""
        return _without(scores, context.eos_ids) if len(context.ids) < self.n else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two lengths."""
        return [f"would end the text at {len(context.ids)} < {self.n} ids"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class MinNewTokens(Stage):
    """Removes what ends a text until n tokens have been generated."""

    n: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("MinNewTokens", self.n, 0)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that go on, until the number is reached."""
        return _without(scores, context.eos_ids) if context.generated < self.n else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers."""
        return [f"would end the text after {context.generated} < {self.n} new tokens"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class Suppress(Stage):
    """Removes certain ids everywhere."""

    ids: Sequence[int]
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ids(type(self).__name__, self.ids)

    def bind(self, codec: TextCodec) -> Stage:
        """The same stage. MinilmError for an id that is not in the codec's vocabulary."""
        check_known(self.ids, codec.vocab_size)
        return self

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The others."""
        return _without(scores, self.ids)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Suppressed, the only reason."""
        return ["suppressed"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class SuppressAtBegin(Suppress):
    """Removes certain ids as the first generated token."""

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The others, at the first step."""
        return super().__call__(scores, context) if context.generated == 0 else scores


@dataclass(frozen=True, repr=False, eq=False)
class _Forced(Stage):
    token_id: int

    def __post_init__(self) -> None:
        check_whole(type(self).__name__, self.token_id, 0)

    def bind(self, codec: TextCodec) -> Stage:
        """The same stage. MinilmError for an id that is not in the codec's vocabulary."""
        check_known([self.token_id], codec.vocab_size)
        return self


@dataclass(frozen=True, repr=False, eq=False)
class ForcedBos(_Forced):
    """Leaves one id alone where the context holds one id so far."""

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The one, with score 0, or all."""
        return _only(self.token_id) if len(context.ids) == 1 else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Which id was forced."""
        return [f"id {self.token_id} is forced as the second"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class ForcedEos(_Forced):
    """Leaves one id alone at the last step that the limit allows."""

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The one, with score 0, or all."""
        last = context.limit is not None and context.generated == context.limit - 1
        return _only(self.token_id) if last else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Which id was forced."""
        return [f"id {self.token_id} is forced as the last"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class LengthDecay(Stage):
    """Past `start` generated tokens, adds abs(s) x (factor^(tokens past it) - 1) to what ends a text."""

    start: int
    factor: float

    def __post_init__(self) -> None:
        check_whole("The start of LengthDecay", self.start, 0)
        if not 0 < self.factor < np.inf:
            raise MinilmError(f"LengthDecay must have a factor above 0, got {self.factor}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors; the end has come nearer."""
        growth = self._growth(context)
        where = places(scores, context.eos_ids) if growth else np.array([], dtype=np.int64)
        if not where.size:
            return scores
        old = scores.values[where]
        most = np.finfo(np.float32).max / 4
        return scores.changed(where, np.clip(old + np.abs(old) * np.float32(growth), -most, most))

    def gain(self, context: Context) -> float:
        """1 and what is added."""
        return 1 + abs(self._growth(context))

    def _growth(self, context: Context) -> float:
        """factor^(tokens past the start) - 1, and 0 before it; never more than is enough for any end."""
        try:
            return min(self.factor ** max(context.generated - self.start, 0) - 1, HUGE)
        except OverflowError:
            return HUGE
