"""One small frozen dataclass per sampling stage: scores in, scores out.

Values are float32 in transformers' order of operations. Each truncation works on the softmax of what
is left, and can say of a token which number failed. The rarer stages stand in more.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import isfinite
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, places, softmax32
from minilm.sampling.sequences import SequenceTable, check_bias, spellings

__all__ = ["Bias", "Greedy", "MinP", "RepetitionPenalty", "Stage", "Temperature", "TopK", "TopP", "bound"]


@dataclass(frozen=True, repr=False, eq=False)
class Stage:
    """A step of the sampling pipeline: a callable from (scores, context) to scores.

    Its repr is its one spelling everywhere: `repr(TopK(40))` is "TopK(40)", and parse() reads it back.
    truncates: it only removes tokens, and never changes the score of one that it keeps.
    """

    truncates: ClassVar[bool] = False

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors and their scores after this stage."""
        raise NotImplementedError

    def bind(self, codec: TextCodec) -> Stage:
        """The same stage with its words resolved to ids; most stages have none."""
        return self

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Why each of these ids, all among `before`, was removed: the number that failed."""
        return ["removed"] * len(ids)

    def note(self, context: Context) -> str | None:
        """What else there is to say of this stage in a context, for its row of the ledger."""
        return None

    def ending(self, context: Context) -> str | None:
        """Why a text must end here; None while it may go on."""
        return None

    @cached_property
    def label(self) -> str:
        """The stage as text, made once."""
        return repr(self)

    def __repr__(self) -> str:
        values = [(getattr(self, f.name), f.default) for f in fields(self) if f.repr]
        return f"{type(self).__name__}({', '.join(repr(v) for v, default in values if v != default)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


@dataclass(frozen=True, repr=False, eq=False)
class Greedy(Stage):
    """Leaves the best token alone, the lowest id among equals; then nothing is drawn."""

    truncates: ClassVar[bool] = True

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """One survivor."""
        best = int(scores.values.argmax())
        return Scores(scores.ids[best : best + 1], scores.values[best : best + 1])

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The best score that each was compared with."""
        best = before.values.max()
        return [f"score {v:.4g} is not the best, {best:.4g}" for v in _values(before, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class Temperature(Stage):
    """Divides every score by t > 0: below 1 sharper, above 1 flatter (Ackley et al., 1985)."""

    t: float

    def __post_init__(self) -> None:
        if not 0 < self.t < np.inf:
            raise MinilmError(f"Temperature must be above 0, got {self.t}; for greedy use Greedy()")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors, scores / t."""
        if self.t == 1:
            return scores
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            values = scores.values / np.float32(self.t)
            total = np.add.reduce(values)
        if not isfinite(total):
            raise MinilmError(f"Temperature {self.t} makes scores overflow; for greedy use Greedy()")
        return Scores(scores.ids, values)


@dataclass(frozen=True, repr=False, eq=False)
class TopK(Stage):
    """Keeps the k best tokens, and those equal to the k-th (Fan et al., 2018)."""

    truncates: ClassVar[bool] = True

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise MinilmError(f"TopK must be a whole number from 1, got {self.k}; leave it out to keep all")

    def _cut(self, scores: Scores) -> np.float32:
        values, place = scores.values.copy(), scores.values.size - self.k
        values.partition(place)
        return values[place]

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors with a score of at least the k-th largest."""
        if self.k >= scores.ids.size:
            return scores
        return scores.keep(scores.values >= self._cut(scores))

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The place of each among the survivors before."""
        return [f"rank {1 + np.count_nonzero(before.values > v)} > {self.k}" for v in _values(before, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class TopP(Stage):
    """Keeps the fewest best tokens whose mass reaches p; the crossing token stays (Holtzman et al., 2020).

    Among equal scores the lower id is taken first.
    """

    truncates: ClassVar[bool] = True

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise MinilmError(f"TopP must lie between 0 and 1, got {self.p}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that the nucleus holds; at least the best one."""
        if self.p == 1:
            return scores
        order = (-scores.values).argsort(kind="stable")[::-1]  # worst first, as transformers sums
        below = softmax32(scores.values[order]).cumsum(dtype=np.float64).astype(np.float32)
        keep = np.empty(order.size, dtype=bool)
        keep[order] = below > np.float32(1 - self.p)
        keep[order[-1]] = True
        return scores.keep(keep)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The mass that the better tokens had reached before each."""
        p = softmax32(before.values).astype(np.float64)
        order = (-before.values).argsort(kind="stable")
        reached = np.empty(order.size)
        reached[order] = p[order].cumsum()
        where = places(before, ids)
        return [f"{m:.4f} reached before it" for m in (reached[where] - p[where]).tolist()]


@dataclass(frozen=True, repr=False, eq=False)
class MinP(Stage):
    """Removes what is less likely than m times the most likely token (Nguyen et al., 2024)."""

    truncates: ClassVar[bool] = True

    m: float

    def __post_init__(self) -> None:
        if not 0 <= self.m <= 1:
            raise MinilmError(f"MinP must lie between 0 and 1, got {self.m}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors with a probability of at least m times the largest."""
        p = softmax32(scores.values)
        keep = p >= np.float32(self.m) * np.maximum.reduce(p)
        return scores if np.logical_and.reduce(keep) else scores.keep(keep)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers that were compared."""
        p = softmax32(before.values)
        return [f"{v:.4f} < {self.m} × {p.max():.4f}" for v in p[places(before, ids)].tolist()]


@dataclass(frozen=True, repr=False, eq=False)
class RepetitionPenalty(Stage):
    """Makes every id of the context, prompt included, less likely, once (Keskar et al., 2019).

    A score s becomes s / theta where s >= 0 and s x theta below 0; so it depends on where 0 lies.
    last: look at that many of the latest ids alone.
    """

    theta: float
    last: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.theta < np.inf:
            raise MinilmError(f"RepetitionPenalty must be above 0, got {self.theta}; 1 changes nothing")
        if self.last is not None and self.last < 1:
            raise MinilmError(f"RepetitionPenalty must look at 1 id or more, got {self.last}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors; those that occurred have moved."""
        if self.theta == 1:
            return scores
        seen = context.ids if self.last is None else context.ids[-self.last :]
        where = places(scores, seen)  # an id that occurs twice is set twice to the same score
        old = scores.values[where]
        theta = np.float32(self.theta)
        return scores.changed(where, np.where(old < 0, old * theta, old / theta))


@dataclass(frozen=True, repr=False, eq=False)
class Bias(Stage):
    """Adds to the score of words, piece by piece, with and without a leading space.

    words: word (or id) -> what is added, in nats. The first piece of a word gets it everywhere, each
    further piece where the context ends with the pieces before it. -inf bans the word: its last
    piece is removed where the rest stands before it.
    """

    words: Mapping[str | int, float]
    table: SequenceTable | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_bias("Bias", self.words)

    def bind(self, codec: TextCodec) -> Bias:
        """Every word as sequences of ids that grow piece by piece."""
        biases: dict[tuple[int, ...], float] = {}
        for word, bias in self.words.items():
            for ids in spellings(word, codec):
                first = len(ids) if bias == -np.inf else 1
                biases |= {ids[:n]: bias for n in range(first, len(ids) + 1)}
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Biased scores; banned tokens are gone."""
        return bound(self, self.table)(scores, context)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Banned, the only way in which a bias removes."""
        return ["banned: bias -inf"] * len(ids)


def bound(stage: Stage, table: SequenceTable | None) -> SequenceTable:
    """The table of a stage that speaks of words. MinilmError where it was not bound to a codec."""
    if table is None:
        raise MinilmError(f"{stage!r} speaks of words; bind(codec) it first, so that they become ids")
    return table


def _values(scores: Scores, ids: Sequence[int]) -> Array:
    return scores.values[places(scores, ids)]
