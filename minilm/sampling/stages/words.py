"""Stages that work on words: a bias for words or sequences, and words that may not be written.

A word is turned into ids by `bind(codec)`. A table then says what is added to an id after which ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, cast

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stage import HUGE, Stage, check_known, is_id

__all__ = [
    "BadWords",
    "Bias",
    "SequenceBias",
    "SequenceTable",
    "check_bias",
    "check_word",
    "encode_exactly",
    "encode_spellings",
    "require_table",
]


@dataclass(frozen=True, repr=False, eq=False)
class Bias(Stage):
    """Adds a number to the score of words, piece by piece, with and without a leading space.

    s_i <- s_i + bias, if i is the next piece of a word

    The first piece of a word gets the bias everywhere, each further piece where the context ends with the
    pieces before it. The biases of several words add up. -inf bans a word: its last piece is removed where
    the context ends with the others.

    Attributes:
        words: Word (or id) -> the bias, in nats.
    """

    words: Mapping[str | int, float]
    table: SequenceTable | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_bias("Bias", self.words)

    def bind(self, codec: TextCodec) -> Bias:
        """Return the same stage with every word as sequences of ids that grow piece by piece."""
        biases: list[tuple[tuple[int, ...], float]] = []
        for word, bias in self.words.items():
            wholes = encode_spellings(word, codec)
            grown = {ids[:n] for ids in wholes for n in range(1, len(ids) + 1)}
            biases += [(ids, bias) for ids in (wholes if bias == -np.inf else grown)]
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the scores with the biases added, without the banned tokens."""
        return require_table(self, self.table)(scores, context)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return that each is banned, the only way in which a bias removes a token."""
        return ["banned: bias -inf"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class SequenceBias(Stage):
    """Adds a number to the last id of a sequence where the context ends with the others.

    s_i <- s_i + bias, if (the last ids of the context, i) is the sequence

    The biases of several matches add up; -inf removes the token.

    Attributes:
        sequences: A text exactly as it is written, an id or a tuple of ids -> the bias, in nats.
    """

    sequences: Mapping[str | int | tuple[int, ...], float]
    table: SequenceTable | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_bias("SequenceBias", self.sequences)

    def bind(self, codec: TextCodec) -> SequenceBias:
        """Return the same stage with its texts as ids."""
        biases = [
            (ids, bias) for words, bias in self.sequences.items() if (ids := encode_exactly(words, codec))
        ]
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the scores with the biases added, without those at -inf."""
        return require_table(self, self.table)(scores, context)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return that each is banned, the only way in which a bias removes a token."""
        return ["banned: bias -inf"] * len(ids)


@dataclass(frozen=True, repr=False, eq=False)
class BadWords(Stage):
    """Removes the token that would complete one of the words, with or without a leading space.

    An id that ends a text is never removed as a word of its own.

    Attributes:
        words: Texts, ids or tuples of ids.
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
        """Return the same stage with every word as its sequences of ids."""
        biases = [(ids, -np.inf) for word in self.words for ids in encode_spellings(word, codec)]
        return replace(self, table=SequenceTable.of(biases))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors that complete no bad word."""
        table = require_table(self, self.table)
        alone = table.by_prefix.get((), {})
        return table(scores, context, [i for i in context.eos_ids if i in alone])

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return what each would have done."""
        return ["would complete a bad word"] * len(ids)


@dataclass(frozen=True, eq=False)
class SequenceTable:
    """A table of the numbers that are added to the scores of ids, for each row of ids before them.

    Attributes:
        by_prefix: The ids before -> (id -> the sum of its biases).
        lengths: The lengths of these prefixes, ascending.
    """

    by_prefix: Mapping[tuple[int, ...], Mapping[int, float]]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, biases: Iterable[tuple[tuple[int, ...], float]]) -> SequenceTable:
        """Make a table of sequences, each with the bias of its last id; equal sequences add up.

        >>> SequenceTable.of([((5,), 1.0), ((4, 5), 2.0)]).added(Context(np.array([3, 4])))
        {5: 3.0}
        """
        table: dict[tuple[int, ...], dict[int, float]] = {}
        for ids, bias in biases:
            row = table.setdefault(ids[:-1], {})
            row[ids[-1]] = row.get(ids[-1], 0.0) + bias
        return cls(MappingProxyType(table), tuple(sorted({len(prefix) for prefix in table})))

    def added(self, context: Context, spared: Sequence[int] = ()) -> dict[int, float]:
        """Return id -> what is added to its score in this context; several matches add up.

        Args:
            context: Where the token is chosen.
            spared: Ids whose sequence of one id does not count.
        """
        longest = self.lengths[-1] if self.lengths else 0
        tail = tuple(context.ids[-longest:].tolist()) if longest else ()
        added: dict[int, float] = {}
        for n in self.lengths:
            row = self.by_prefix.get(tail[len(tail) - n :]) if n <= len(tail) else None
            for token_id, bias in row.items() if row else ():
                if n or token_id not in spared:
                    added[token_id] = added.get(token_id, 0.0) + bias
        return added

    def __call__(self, scores: Scores, context: Context, spared: Sequence[int] = ()) -> Scores:
        """Return the scores with everything added, without those at -inf."""
        ids, bias = self._anywhere if self.lengths == (0,) and not spared else self._arrays(context, spared)
        where = places(scores, ids)
        if not where.size:
            return scores
        if where.size < ids.size:
            bias = bias[np.isin(ids, scores.ids[where])]
        result = scores.changed(where, scores.values[where] + bias)
        return result.keep(result.values > -np.inf) if bias[bias.argmin()] == -np.inf else result

    @cached_property
    def _anywhere(self) -> tuple[Array, Array]:
        """The ids and biases where every sequence is one id long, and so the same in every context."""
        return self._arrays(Context(np.empty(0, np.int64)))

    def _arrays(self, context: Context, spared: Sequence[int] = ()) -> tuple[Array, Array]:
        """Return the ids whose score changes in this context, ascending, and by how much."""
        added = {i: b for i, b in sorted(self.added(context, spared).items()) if b}
        return np.array(list(added), np.int64), np.array(list(added.values()), np.float32)


def check_bias(stage: str, words: Mapping[Any, Any]) -> None:
    """Raise MinilmError unless every word maps to a finite number or -inf."""
    for word, bias in words.items():
        check_word(stage, word)
        if not isinstance(bias, int | float) or not (abs(bias) <= HUGE or bias == -np.inf):
            raise MinilmError(
                f"{stage} must map words to finite numbers, {HUGE:g} at most, or -inf, "
                f"got {word!r:.40}: {bias!s:.40}"
            )


def check_word(stage: str, word: Any) -> None:
    """Raise MinilmError unless this is a text, an id or a tuple of ids, and not empty."""
    ids = cast("Sequence[Any]", word if isinstance(word, tuple | list) else [word])
    fits = bool(word) if isinstance(word, str) else bool(ids) and all(map(is_id, ids))
    if not fits:
        raise MinilmError(f"{stage} must be given texts, ids or tuples of ids, none empty, got {word!r:.80}")


def encode_exactly(word: str | int | Sequence[int], codec: TextCodec) -> tuple[int, ...]:
    """Return a word as ids: a text exactly as it is written, ids unchanged. MinilmError for an unknown id."""
    if isinstance(word, str):
        return tuple(codec.encode(word))
    ids = tuple(word) if isinstance(word, Sequence) else (word,)
    check_known(ids, codec.vocab_size)
    return ids


def encode_spellings(word: str | int | Sequence[int], codec: TextCodec) -> list[tuple[int, ...]]:
    """Return a word as ids, with and without a leading space; ids unchanged."""
    if not isinstance(word, str):
        return [encode_exactly(word, codec)]
    bare = word.removeprefix(" ") or word
    return list(dict.fromkeys(ids for w in (bare, " " + bare) if (ids := encode_exactly(w, codec))))


def require_table(stage: Stage, table: SequenceTable | None) -> SequenceTable:
    """Return the table of a stage that works on words. MinilmError if it was not bound to a codec."""
    if table is None:
        raise MinilmError(f"{stage!r} works on words; bind(codec) it first, so that they become ids")
    return table
