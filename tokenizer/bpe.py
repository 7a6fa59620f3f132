"""Byte-pair encoding by hand, second half: apply the merges that training learned to a text.

A text starts as single characters. Of all neighbouring pairs whose union is a piece of the vocabulary, the
encoder merges the pair that training learned first. When that pair occurs several times, it takes the
leftmost. It repeats this until no such pair is left. With `ug` learned first and `hug` second:

    h u g s   ->   h ug s   ->   hug s

The first half, which learns the merges, is in bpe_training.py.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from tokenizer.bpe_training import Merge, train_merges
from tokenizer.codec import SPACE_MARK, Tokenizer
from tokenizer.errors import TokenizerError
from tokenizer.model_file import NORMAL, UNUSED, USER_DEFINED, Piece

__all__ = ["Encoder", "Explanation", "Merge", "explain", "train_merges"]

# A pair that may be merged: rank of its union, where its left symbol starts, the union. In a heap the pair
# that was learned first comes out first, and of equal ranks the leftmost.
Candidate = tuple[float, int, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The merges that turn a text into ids.

    Attributes:
        text: the text that was encoded.
        start: the symbols that the text starts as: its characters, and user-defined pieces whole.
        merges: the merges in the order in which they happened.
        pieces: the symbols that are left, each with its ids. A piece of the vocabulary has one id; any
            other character has one id per byte.
    """

    text: str
    start: tuple[str, ...]
    merges: tuple[Merge, ...]
    pieces: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def ids(self) -> list[int]:
        """The ids of the text."""
        return [token_id for _, ids in self.pieces for token_id in ids]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield all symbols of the text after each merge."""
        symbols = _key_by_start(self.start)
        for merge in self.merges:
            _join_with_next(symbols, merge.at or 0)
            yield tuple(symbols.values())


class Encoder:
    """Encode as SentencePiece does with the same BPE model, but in code that can be read.

    Args:
        tokenizer: the tokenizer whose vocabulary and merge order to use.

    Raises:
        TokenizerError: if the model is a unigram model, which has no merges.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.model.bpe:
            raise TokenizerError("only a BPE model merges pairs, this is a unigram model; train a BPE one")
        self._tokenizer = tokenizer
        pieces = {
            token_id: piece
            for token_id, piece in enumerate(tokenizer.model.pieces)
            if piece.kind in (NORMAL, USER_DEFINED, UNUSED)
        }
        self._ids = {_with_spaces(piece): token_id for token_id, piece in pieces.items()}
        # A score is the negative rank: the piece that was learned first has rank 0.
        self._ranks = {_with_spaces(piece): -piece.score for piece in pieces.values()}
        self._user_defined = {_with_spaces(piece) for piece in pieces.values() if piece.kind == USER_DEFINED}
        # The longest user-defined piece wins; where none matches, "." takes one character, newline included.
        longest_first = sorted(self._user_defined, key=len, reverse=True)
        self._symbol = re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text. They equal SentencePiece's."""
        return self.explain(text).ids

    def explain(self, text: str) -> Explanation:
        """Return how a text becomes ids: where it starts, every merge, and the pieces that are left."""
        start = self._split(text)
        symbols = _key_by_start(start)
        merges = tuple(self._merge_in_place(symbols))
        return Explanation(text, tuple(start), merges, tuple(self._spell(symbols.values())))

    def steps(self, text: str) -> Iterator[Merge]:
        """Yield the merges of a text one after another."""
        return self._merge_in_place(_key_by_start(self._split(text)))

    def _split(self, text: str) -> list[str]:
        """Return the symbols that a text starts as."""
        return self._symbol.findall(self._tokenizer.normalized(text))

    def _merge_in_place(self, symbols: dict[int, str]) -> Iterator[Merge]:
        """Merge the best pair of `symbols` and yield the merge, until no pair of neighbours is a piece."""
        # Which symbol ends here: the left neighbour of the symbol that starts here.
        start_of_end = {start + len(symbol): start for start, symbol in symbols.items()}
        candidates = [found for at in symbols if (found := self._find_candidate(symbols, at))]
        heapq.heapify(candidates)
        order = 0
        while candidates:
            rank, at, piece = heapq.heappop(candidates)
            if not _is_still_there(symbols, at, piece):
                continue
            left = symbols[at]
            _join_with_next(symbols, at)
            start_of_end[at + len(piece)] = at
            yield Merge(order, (left, piece[len(left) :]), 1, piece, rank, at)
            order += 1
            # The new symbol forms a new pair with each of its neighbours.
            for start in (start_of_end.get(at), at):
                if start is not None and (found := self._find_candidate(symbols, start)):
                    heapq.heappush(candidates, found)

    def _find_candidate(self, symbols: Mapping[int, str], start: int) -> Candidate | None:
        """Return the pair that starts here if its union is a piece. User-defined pieces never merge."""
        left = symbols[start]
        right = symbols.get(start + len(left))
        if right is None or (rank := self._ranks.get(left + right)) is None:
            return None
        if left in self._user_defined or right in self._user_defined:
            return None
        return rank, start, left + right

    def _spell(self, symbols: Iterable[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield each symbol with its ids.

        A symbol that is no piece gets the ids of its bytes. A model without byte pieces gives the unknown id
        once to a whole run of such symbols.
        """
        for can_be_spelled, run in groupby(symbols, self._can_spell):
            if can_be_spelled:
                yield from ((symbol, self._find_ids(symbol)) for symbol in run)
            else:
                yield "".join(run), (self._tokenizer.special_ids["unk"],)

    def _can_spell(self, symbol: str) -> bool:
        return symbol in self._ids or self._tokenizer.model.byte_fallback

    def _find_ids(self, symbol: str) -> tuple[int, ...]:
        if symbol in self._ids:
            return (self._ids[symbol],)
        return tuple(self._tokenizer.byte_ids[value] for value in symbol.encode())


def explain(text: str, tokenizer: Tokenizer) -> Explanation:
    """Return how this text becomes ids under this tokenizer, merge by merge.

    Args:
        text: the text to encode.
        tokenizer: a tokenizer with a BPE model.
    """
    return Encoder(tokenizer).explain(text)


def _with_spaces(piece: Piece) -> str:
    return piece.text.replace(SPACE_MARK, " ")


def _key_by_start(symbols: Iterable[str]) -> dict[int, str]:
    """Return the symbols by the character offset at which each one starts.

    In this form a merge takes constant time, and the dictionary keeps the order of the text.

    >>> _key_by_start(["a", "bcd", "e"])
    {0: 'a', 1: 'bcd', 4: 'e'}
    """
    by_start, start = {}, 0
    for symbol in symbols:
        by_start[start] = symbol
        start += len(symbol)
    return by_start


def _join_with_next(symbols: dict[int, str], start: int) -> None:
    """Join the symbol that starts here with the symbol on its right.

    >>> symbols = {0: "a", 1: "bcd", 4: "e"}
    >>> _join_with_next(symbols, 1)
    >>> symbols
    {0: 'a', 1: 'bcde'}
    """
    symbols[start] += symbols.pop(start + len(symbols[start]))


def _is_still_there(symbols: Mapping[int, str], start: int, piece: str) -> bool:
    """Return whether the pair that makes `piece` still starts here.

    An earlier merge may have joined one of its two symbols with another neighbour.
    """
    left = symbols.get(start)
    right = None if left is None else symbols.get(start + len(left))
    return left is not None and right is not None and left + right == piece
