"""A codec's pieces as a grammar needs them: raw bytes, and a text's ids without what a codec puts first.

Pieces are taken without dummy prefix and normaliser, so that no token is offered that would then be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from minilm.protocols import TextCodec

__all__ = ["Vocabulary", "vocabulary_of"]

_ANCHORS = ("", "\n", "a", ".")  # texts that a codec may stand on, so that its dummy prefix falls on them


class Vocabulary:
    """The pieces of a codec; satisfies what llguidance asks of a tokenizer.

    size: V; tokens: (V + 1) bytes, the last an end of text of our own, which stands for all that end one;
    eos: the codec's own ids that do.
    """

    bos_token_id = None

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self.size = self.eos_token_id = codec.vocab_size
        self.tokens = [codec.piece_bytes(i) for i in range(self.size)] + [b"<end of text>"]
        self.special_token_ids = [*(i for i, raw in enumerate(self.tokens) if not raw), self.size]
        self.eos = tuple(i for role, i in codec.special_ids.items() if role == "eos")
        by_bytes = reversed(list(enumerate(self.tokens[: self.size])))
        self._ids = {raw: i for i, raw in by_bytes if raw}  # the lowest id of equal bytes
        self._longest = max(map(len, self._ids), default=0)
        self.view: Any = None

    def __call__(self, raw: bytes) -> list[int]:
        """The ids in which the codec writes these bytes within a text; they join to exactly these bytes."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return self._greedy(raw)
        for anchor in _ANCHORS:
            found = self._ending(self._codec.encode(anchor + text), raw)
            if found is not None:
                return found
        return self._greedy(raw)

    def _ending(self, ids: Sequence[int], raw: bytes) -> list[int] | None:
        """The last of ids that join to raw, or None where none do."""
        held = b""
        for at in range(len(ids), -1, -1):
            if held == raw:
                return list(ids[at:])
            if at:
                held = self.tokens[ids[at - 1]] + held
        return None

    def _greedy(self, raw: bytes) -> list[int]:
        """The longest piece at every place; bytes that no piece has are left out."""
        ids, at = [], 0
        while at < len(raw):
            ends = range(min(len(raw), at + self._longest), at, -1)
            end = next((end for end in ends if raw[at:end] in self._ids), None)
            if end is not None:
                ids.append(self._ids[raw[at:end]])
            at = end or at + 1
        return ids


@lru_cache(maxsize=4)
def vocabulary_of(codec: TextCodec) -> Vocabulary:
    """The vocabulary of a codec; those of the last few codecs are remembered."""
    return Vocabulary(codec)
