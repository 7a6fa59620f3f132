"""Stages that remove or force certain tokens: lengths, suppressed ids, first and last tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stage import HUGE, Stage, check_known, check_stage_ids, check_whole

__all__ = [
    "ForcedBos",
    "ForcedEos",
    "LengthDecay",
    "MinLength",
    "MinNewTokens",
    "Suppress",
    "SuppressAtBegin",
]


def _remove(scores: Scores, ids: Sequence[int]) -> Scores:
    where = places(scores, ids)
    if not where.size:
        return scores
    keep = np.ones(scores.ids.size, dtype=bool)
    keep[where] = False
    return scores.keep(keep)


def _force(token_id: int) -> Scores:
    """Return one survivor with the score 0, whatever the stages before left."""
    return Scores(np.array([token_id]), np.zeros(1, np.float32))


@dataclass(frozen=True, repr=False, eq=False)
class MinLength(Stage):
    """Removes the ids that end a text while it is shorter than n ids, prompt included.

    Attributes:
        n: The least length, from 0.
    """

    n: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("MinLength", self.n, 0)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors that do not end the text, until the length is reached."""
        return _remove(scores, context.eos_ids) if len(context.ids) < self.n else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the two lengths that were compared."""
        return [f"would end the text at {len(context.ids)} < {self.n} ids"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class MinNewTokens(Stage):
    """Removes the ids that end a text until n tokens have been generated.

    Attributes:
        n: The least number of new tokens, from 0.
    """

    n: int
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_whole("MinNewTokens", self.n, 0)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors that do not end the text, until the number is reached."""
        return _remove(scores, context.eos_ids) if context.generated < self.n else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the two numbers that were compared."""
        return [f"would end the text after {context.generated} < {self.n} new tokens"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class Suppress(Stage):
    """Removes certain ids everywhere.

    Attributes:
        ids: The ids to remove.
    """

    ids: Sequence[int]
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_stage_ids(type(self).__name__, self.ids)

    def bind(self, codec: TextCodec) -> Stage:
        """Return the same stage. Raise MinilmError for an id that the codec does not have."""
        check_known(self.ids, codec.vocab_size)
        return self

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the other survivors."""
        return _remove(scores, self.ids)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return that each is suppressed."""
        return ["suppressed"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class SuppressAtBegin(Suppress):
    """Removes certain ids at the first generated token.

    Attributes:
        ids: The ids to remove.
    """

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the other survivors at the first step, and all at later ones."""
        return super().__call__(scores, context) if context.generated == 0 else scores


@dataclass(frozen=True, repr=False, eq=False)
class _Forced(Stage):
    token_id: int

    def __post_init__(self) -> None:
        check_whole(type(self).__name__, self.token_id, 0)

    def bind(self, codec: TextCodec) -> Stage:
        """Return the same stage. Raise MinilmError for an id that the codec does not have."""
        check_known([self.token_id], codec.vocab_size)
        return self


@dataclass(frozen=True, repr=False, eq=False)
class ForcedBos(_Forced):
    """Keeps only one id where the context has one id so far, so that it becomes the second.

    Attributes:
        token_id: The id to force.
    """

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the forced id with the score 0, or all survivors."""
        return _force(self.token_id) if len(context.ids) == 1 else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return which id was forced."""
        return [f"id {self.token_id} is forced as the second"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class ForcedEos(_Forced):
    """Keeps only one id at the last step that the limit allows.

    Attributes:
        token_id: The id to force.
    """

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the forced id with the score 0, or all survivors."""
        last = context.limit is not None and context.generated == context.limit - 1
        return _force(self.token_id) if last else scores

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return which id was forced."""
        return [f"id {self.token_id} is forced as the last"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class LengthDecay(Stage):
    """Makes the end of a text likelier with every token past `start`.

    s_i <- s_i + abs(s_i) * (factor^(generated - start) - 1), if i ends a text

    Attributes:
        start: How many tokens may be generated before it begins.
        factor: Above 0; below 1 makes the end less likely.
    """

    start: int
    factor: float

    def __post_init__(self) -> None:
        check_whole("The start of LengthDecay", self.start, 0)
        if not 0 < self.factor < np.inf:
            raise MinilmError(f"LengthDecay must have a factor above 0, got {self.factor}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the same survivors, with changed scores for the ids that end a text."""
        growth = self._find_growth(context)
        where = places(scores, context.eos_ids) if growth else np.array([], dtype=np.int64)
        if not where.size:
            return scores
        old = scores.values[where]
        # Far from the largest float32, so that later stages cannot make it infinite.
        most = np.finfo(np.float32).max / 4
        # s_i <- s_i + abs(s_i) * growth
        return scores.changed(where, np.clip(old + np.abs(old) * np.float32(growth), -most, most))

    def gain(self, context: Context) -> float:
        """Return 1 + growth."""
        return 1 + abs(self._find_growth(context))

    def _find_growth(self, context: Context) -> float:
        """Return factor^(generated - start) - 1, 0 before the start, and never more than HUGE."""
        try:
            return min(self.factor ** max(context.generated - self.start, 0) - 1, HUGE)
        except OverflowError:
            return HUGE
