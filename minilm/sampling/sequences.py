"""Sequences of ids that add to the score of their last one, where the context ends with the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.sampling.scores import Context, Scores, places

__all__ = ["SequenceTable", "check_bias", "spellings"]


@dataclass(frozen=True, eq=False)
class SequenceTable:
    """What is added to an id after a prefix: prefix -> (id -> sum of the biases)."""

    by_prefix: Mapping[tuple[int, ...], Mapping[int, float]]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, biases: Mapping[tuple[int, ...], float]) -> SequenceTable:
        """A table of sequences, each with what it adds to its last id.

        >>> SequenceTable.of({(5,): 1.0, (4, 5): 2.0}).added(Context(np.array([3, 4])))
        {5: 3.0}
        """
        table: dict[tuple[int, ...], dict[int, float]] = {}
        for ids, bias in biases.items():
            row = table.setdefault(ids[:-1], {})
            row[ids[-1]] = row.get(ids[-1], 0.0) + bias
        return cls(MappingProxyType(table), tuple(sorted({len(prefix) for prefix in table})))

    def added(self, context: Context) -> dict[int, float]:
        """Id -> what is added to its score in this context; several matches add up."""
        longest = self.lengths[-1] if self.lengths else 0
        tail = tuple(context.ids[len(context.ids) - longest :].tolist()) if longest else ()
        added: dict[int, float] = {}
        for n in self.lengths:
            if n <= len(tail):
                for token_id, bias in self.by_prefix.get(tail[len(tail) - n :], {}).items():
                    added[token_id] = added.get(token_id, 0.0) + bias
        return added

    def __call__(self, scores: Scores, context: Context, spared: Sequence[int] = ()) -> Scores:
        """The scores with everything added; those at -inf are gone, but for the spared ids."""
        added = {i: b for i, b in self.added(context).items() if b and i not in spared}
        if not added:
            return scores
        where = places(scores, sorted(added))
        bias = np.array([added[i] for i in scores.ids[where].tolist()], dtype=np.float32)
        result = scores.changed(where, scores.values[where] + bias)
        return result if np.isfinite(bias).all() else result.keep(result.values > -np.inf)


def check_bias(stage: str, words: Mapping[Any, float]) -> None:
    """Raise MinilmError unless every word maps to a finite number or -inf."""
    for word, bias in words.items():
        number = isinstance(bias, int | float) and bias == bias and bias != np.inf
        if not number or word in ("", ()):
            raise MinilmError(f"{stage} must map words to finite numbers or -inf, got {word!r}: {bias}")


def spellings(word: str | int | Sequence[int], codec: TextCodec) -> list[tuple[int, ...]]:
    """A word as ids, with and without a leading space; ids as they are."""
    if isinstance(word, int):
        return [(word,)]
    if not isinstance(word, str):
        return [tuple(word)]
    bare = word.removeprefix(" ") or word
    return list(dict.fromkeys(tuple(ids) for w in (bare, " " + bare) if (ids := codec.encode(w))))
