"""Byte-pair encoding by hand, second half: replaying what was learnt on a text, each merge a record.

All pieces begin as single characters. Of all neighbours whose union is a piece, the one learnt first is
merged, the leftmost of equals, until none is left. What is no piece even then is spelled in bytes.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizer.bpe_training import train_merges
from tokenizer.codec import Tokenizer
from tokenizer.errors import TokenizerError
from tokenizer.merge import Merge
from tokenizer.model_file import NORMAL, UNUSED, USER_DEFINED

__all__ = ["Encoder", "Explanation", "Merge", "explain", "train_merges"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a text becomes ids: the merges in their order, and the pieces that are left, one or more ids each.

    start: what it begins as, single characters; pieces: (text of the piece, its ids): one id, or one per
    byte for what is no piece.
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
        """The pieces that stand after each merge, one row per merge."""
        row = dict(zip(_starts(self.start), self.start, strict=True))
        for merge in self.merges:
            at = merge.at or 0
            del row[at + len(merge.pair[0])]
            row[at] = merge.piece
            yield tuple(row.values())


class Encoder:
    """Encodes as SentencePiece does with the same model; the clear way, not the fast one."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not tokenizer.model.bpe:
            raise TokenizerError("only a BPE model merges pairs, this is a unigram model; train a BPE one")
        self._tokenizer = tokenizer
        pieces = enumerate(tokenizer.model.pieces)
        own = [(i, piece) for i, piece in pieces if piece.kind in (NORMAL, USER_DEFINED, UNUSED)]
        self._ids = {piece.text.replace("\u2581", " "): token_id for token_id, piece in own}
        self._scores = {piece.text.replace("\u2581", " "): piece.score for _, piece in own}
        whole = sorted((p.text for _, p in own if p.kind == USER_DEFINED), key=len, reverse=True)
        self._start = re.compile(
            "|".join([*(re.escape(text.replace("\u2581", " ")) for text in whole), "."]), re.S
        )
        self._whole = {text.replace("\u2581", " ") for text in whole}

    def encode(self, text: str) -> list[int]:
        """The ids of a text, SentencePiece's own."""
        return self.explain(text).ids

    def explain(self, text: str) -> Explanation:
        """The merges of a text and the pieces that are left."""
        symbols: list[str] = []
        merges = tuple(self.steps(text, symbols))
        return Explanation(text, tuple(self._characters(text)), merges, tuple(self._with_ids(symbols)))

    def steps(self, text: str, symbols: list[str] | None = None) -> Iterator[Merge]:
        """One Merge after another; when they are done, `symbols` (given empty) holds the pieces left."""
        row: list[str | None] = list(self._characters(text))
        starts = _starts(row)
        after = [*range(1, len(row)), -1]
        before = list(range(-1, len(row) - 1))
        heap: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 <= right and row[left] not in self._whole and row[right] not in self._whole:
                piece = f"{row[left]}{row[right]}"
                if piece in self._scores:
                    heapq.heappush(heap, (-self._scores[piece], left, right, piece))

        for left in range(len(row) - 1):
            offer(left, left + 1)
        order = 0
        while heap:
            rank, left, right, piece = heapq.heappop(heap)
            one, other = row[left], row[right]
            if one is None or other is None or one + other != piece:
                continue  # one of the two has since become part of another piece
            yield Merge(order, (one, other), 1, piece, rank, starts[left])
            order += 1
            row[left], row[right] = piece, None
            after[left] = after[right]
            if after[left] >= 0:
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        if symbols is not None:
            symbols.extend(symbol for symbol in row if symbol is not None)

    def _characters(self, text: str) -> list[str]:
        """What a text begins as: its characters as the model sees them, user-defined pieces whole."""
        return self._start.findall(self._tokenizer.normalized(text))

    def _with_ids(self, symbols: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Each piece with its id; what is no piece with its bytes' ids, or the unknown id once in a row."""
        model, unknown = self._tokenizer.model, ""
        for symbol in symbols:
            if symbol in self._ids or model.byte_fallback:
                if unknown:
                    yield unknown, (self._tokenizer.special_ids["unk"],)
                    unknown = ""
                yield symbol, self._spelled(symbol)
            else:
                unknown += symbol
        if unknown:
            yield unknown, (self._tokenizer.special_ids["unk"],)

    def _spelled(self, symbol: str) -> tuple[int, ...]:
        if symbol in self._ids:
            return (self._ids[symbol],)
        return tuple(self._tokenizer.byte_ids[value] for value in symbol.encode())


def explain(text: str, tokenizer: Tokenizer) -> Explanation:
    """How this text becomes ids under this tokenizer, merge by merge."""
    return Encoder(tokenizer).explain(text)


def _starts(row: Sequence[str | None]) -> list[int]:
    """The character where each symbol begins.

    >>> _starts(["a", "bcd", "e"])
    [0, 1, 4]
    """
    starts, at = [], 0
    for symbol in row:
        starts.append(at)
        at += len(symbol or "")
    return starts
