"""Stages that look back at the context: presence, frequency, n-grams, sequences and bad words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.arguments import HUGE, check_last, check_whole
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.sequences import SequenceTable, check_bias, check_word, exact, spellings
from minilm.sampling.stage import Stage, bound

__all__ = ["BadWords", "Frequency", "NoRepeatNgram", "Presence", "SequenceBias"]


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
class SequenceBias(Stage):
    """Adds to the last id of a sequence where the context ends with the rest; several matches add.

    sequences: a text (exactly as it is written), an id or a tuple of ids -> what is added, in nats.
    """

    sequences: Mapping[str | int | tuple[int, ...], float]
    table: SequenceTable | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_bias("SequenceBias", self.sequences)

    def bind(self, codec: TextCodec) -> SequenceBias:
        """Texts as ids."""
        biases = [(ids, bias) for words, bias in self.sequences.items() if (ids := exact(words, codec))]
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Biased scores; those at -inf are gone."""
        return bound(self, self.table)(scores, context)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Banned, the only way in which a bias removes."""
        return ["banned: bias -inf"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class BadWords(Stage):
    """Removes the id that would complete one of the words, with or without a leading space.

    words: texts, or ids and tuples of ids as they are. A word of one id that ends texts is spared.
    """

    words: Sequence[str | int | tuple[int, ...]]
    table: SequenceTable | None = field(default=None, repr=False)
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.words, list | tuple):
            raise MinilmError(f"BadWords must be a list of words, got {self.words!r:.80}")
        for word in self.words:
            check_word("BadWords", word)

    def bind(self, codec: TextCodec) -> BadWords:
        """Every word as its sequences of ids."""
        biases = [(ids, -np.inf) for word in self.words for ids in spellings(word, codec)]
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that complete no bad word."""
        table = bound(self, self.table)
        alone = table.by_prefix.get((), {})
        return table(scores, context, [i for i in context.eos_ids if i in alone])

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """What each would have done."""
        return ["would complete a bad word"] * len(ids)
