"""Byte-pair encoding by hand, first half: learning the merges of a text, each one a record.

Sennrich et al. (2016): count the pairs of neighbours, merge the most frequent, and again. The order is
SentencePiece's, ties included; see train_merges for where it ends.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, pairwise

from tokenizer.corpus import sentences, text_blocks
from tokenizer.merge import Merge, Pair
from tokenizer.pieces_allowed import may_be_learnt

__all__ = ["train_merges"]

Word = list[str]


def train_merges(lines: Iterable[str], limit: int | None = None) -> Iterator[Merge]:
    """The merges that SentencePiece learns from these lines, most frequent pair first.

    Ties: the shorter piece, then the one first in code-point order, a space being U+2581.
    Ends after `limit` merges, or when no pair is left: there SentencePiece goes on with pairs that stand
    nowhere any more.

    It agrees with SentencePiece merge for merge, with two reservations: SentencePiece looks only at the
    pairs that were most frequent some merges ago (at least 1,000), so it may choose differently among
    rare ones of equal count; and the scripts of rare characters are guessed (pieces_allowed.py).

    >>> [merge.piece for merge in train_merges(["hug pug hugs bun"], limit=3)]
    ['ug', 'hug', 'bu']
    """
    counts = Counter(word for line in text_blocks(lines) for part in sentences(line) for word in _words(part))
    words = [(list(word), count) for word, count in counts.items()]
    table = _PairTable(words)
    for order in count() if limit is None else range(limit):
        best = table.most_frequent()
        if best is None:
            return
        pair, times = best
        yield Merge(order, pair, times, "".join(pair))
        table.merge(pair)


def _words(sentence: str) -> list[str]:
    """A sentence cut before each space.

    >>> _words("to be  or")
    ['to', ' be', ' ', ' or']
    """
    return re.findall(r" [^ ]*|[^ ]+", sentence)


class _PairTable:
    """How often each allowed pair of neighbours stands in the words, and in which words.

    The heap holds a pair once for each count it had; an entry whose count is out of date is passed over.
    """

    def __init__(self, words: list[tuple[Word, int]]) -> None:
        self._words = words
        self._counts: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)
        self._allowed: dict[Pair, bool] = {}
        for number in range(len(words)):
            self._count(number, 1)
        self._heap = [self._entry(pair) for pair in self._counts]
        heapq.heapify(self._heap)

    def most_frequent(self) -> tuple[Pair, int] | None:
        """The next pair to merge and its count; None when no allowed pair is left."""
        while self._heap:
            negative, _, piece, left = heapq.heappop(self._heap)
            piece = piece.replace("\u2581", " ")
            pair = (piece[:left], piece[left:])
            if self._counts[pair] == -negative and negative:
                return pair, -negative
        return None

    def merge(self, pair: Pair) -> None:
        """Make the pair one, from left to right, in every word that holds it."""
        changed: set[Pair] = set()
        for number in sorted(self._places.pop(pair)):
            changed |= self._count(number, -1)
            self._words[number][0][:] = _joined(self._words[number][0], pair)
            changed |= self._count(number, 1)
        for other in changed - {pair}:
            heapq.heappush(self._heap, self._entry(other))

    def _count(self, number: int, sign: int) -> set[Pair]:
        """Add (sign 1) or take away (-1) the pairs of one word."""
        word, count = self._words[number]
        seen = set()
        for pair in pairwise(word):
            if pair not in self._allowed:
                self._allowed[pair] = may_be_learnt(pair[0] + pair[1])
            if self._allowed[pair]:
                self._counts[pair] += sign * count
                self._places[pair].add(number)
                seen.add(pair)
        return seen

    def _entry(self, pair: Pair) -> tuple[int, int, str, int]:
        piece = pair[0] + pair[1]
        return -self._counts[pair], len(piece), piece.replace(" ", "\u2581"), len(pair[0])


def _joined(word: Word, pair: Pair) -> Word:
    """The word with every such pair made one, from the left.

    >>> _joined(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    joined, at = [], 0
    while at < len(word):
        hit = tuple(word[at : at + 2]) == pair
        joined.append("".join(pair) if hit else word[at])
        at += 2 if hit else 1
    return joined
