"""A codec's pieces as a grammar needs them: their raw bytes, and the ids of a text without a dummy prefix.

Pieces are used without dummy prefix and normaliser, so that no token is offered that would then be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minilm.protocols import TextCodec

__all__ = ["Vocabulary", "get_vocabulary"]

# Texts that are put before a text, so that the codec's dummy prefix goes to them.
_ANCHORS = ("", "\n", "a", ".")

# Texts that are put behind a text, so that its end is not stripped.
_AFTER = ("", "[", "中", "a")


class Vocabulary:
    """The pieces of a codec, with the attributes that llguidance asks of a tokenizer.

    Attributes:
        size: V.
        tokens: The bytes of each token, and last an end of text of our own, for all ids that end one.
        eos: The codec's ids that end a text.
        doubles: (D,) ids whose bytes the codec writes with another id.
    """

    bos_token_id = None

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self.size = self.eos_token_id = codec.vocab_size
        self.tokens = [codec.piece_bytes(i) for i in range(self.size)] + [b"<end of text>"]
        self.special_token_ids = [*(i for i, raw in enumerate(self.tokens) if not raw), self.size]
        self.eos = tuple(i for role, i in codec.special_ids.items() if role == "eos")
        pieces = [(raw, i) for i, raw in enumerate(self.tokens[: self.size]) if raw]
        # Of equal bytes the lowest id, until the codec is asked which one it writes.
        self._ids = dict(reversed(pieces))
        self._longest = max(map(len, self._ids), default=0)
        twice = {raw for raw, i in pieces if self._ids[raw] != i}
        own = {raw: i for raw in twice if (i := self._own(raw)) is not None}
        self._ids |= own
        self.doubles = np.array([i for raw, i in pieces if own.get(raw, i) != i], np.int64)
        self.view: Any = None

    def __call__(self, raw: bytes) -> list[int]:
        """Return the ids in which the codec writes these bytes within a text; they join to these bytes."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return self._greedy(raw)
        return self._within(text) or self._greedy(raw)

    def _within(self, text: str) -> list[int] | None:
        """Return the ids in which the codec writes this text after another; None if it always merges."""
        raw = text.encode()
        endings = (self._ending(self._codec.encode(anchor + text), raw) for anchor in _ANCHORS)
        return next((ids for ids in endings if ids is not None), None)

    def _own(self, raw: bytes) -> int | None:
        """Return the id with which the codec writes bytes that several ids have, or None."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return None
        within = (self._within(text + after) for after in _AFTER)
        return next((ids[0] for ids in within if ids and self.tokens[ids[0]] == raw), None)

    def spellings(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """Yield the ids of each text, and of each after a space, if the pieces can write it."""
        for raw in (start + text.encode() for text in texts for start in (b"", b" ")):
            ids = self(raw)
            if b"".join(self.tokens[i] for i in ids) == raw:
                yield ids

    def _ending(self, ids: Sequence[int], raw: bytes) -> list[int] | None:
        """Return the last of the ids that together are raw, or None if no such ids end the list."""
        joined = b""
        for start in range(len(ids), -1, -1):
            if joined == raw:
                return list(ids[start:])
            if start:
                joined = self.tokens[ids[start - 1]] + joined
        return None

    def _greedy(self, raw: bytes) -> list[int]:
        """Return the longest piece at every place; bytes that no piece has are left out."""
        ids: list[int] = []
        at = 0
        while at < len(raw):
            ends = range(min(len(raw), at + self._longest), at, -1)
            end = next((end for end in ends if raw[at:end] in self._ids), None)
            if end is not None:
                ids.append(self._ids[raw[at:end]])
            at = end or at + 1
        return ids


@lru_cache(maxsize=4)
def get_vocabulary(codec: TextCodec) -> Vocabulary:
    """Return the vocabulary of a codec; those of the last four codecs are remembered."""
    return Vocabulary(codec)
