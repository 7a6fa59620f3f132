"""From ids back to text: the bytes of each piece, joined, and read as UTF-8 while they arrive.

A character is shown when its last byte has arrived, and never before. The streamed text, flush included,
equals the decoding of all bytes at once, for any bytes: both follow the Unicode rule for damaged UTF-8 (one
replacement character per longest broken beginning).
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from tokenizer.errors import TokenizerError

__all__ = ["ByteCodec", "ByteDecoder"]

_UTF8 = codecs.getincrementaldecoder("utf-8")


class ByteDecoder:
    """Turn a stream of ids into text.

    Args:
        piece_bytes: returns the bytes that an id adds to the text.
        drop_spaces: how many spaces at the very start the tokenizer itself put there: 0, 1, or -1 for all.

    >>> decoder = ByteDecoder({7: b"a\\xc3", 8: b"\\xa4"}.__getitem__)
    >>> decoder.push(7), decoder.push(8), decoder.push(7), decoder.flush()
    ('a', 'ä', 'a', '\ufffd')
    """

    def __init__(self, piece_bytes: Callable[[int], bytes], drop_spaces: int = 0) -> None:
        self._piece_bytes = piece_bytes
        self._drop_spaces = drop_spaces
        self._utf8 = _UTF8("replace")

    def push(self, token_id: int) -> str:
        """Return the text that this id completes; "" inside a character."""
        data = self._piece_bytes(token_id)
        if self._drop_spaces and data:
            if self._drop_spaces < 0:
                # All spaces at the start are dropped: go on dropping until a piece holds something else.
                data = data.lstrip(b" ")
                self._drop_spaces = 0 if data else -1
            else:
                data = data.removeprefix(b" ")
                self._drop_spaces = 0
        return self._utf8.decode(data)

    def flush(self) -> str:
        """Return the text of bytes that never became a character: a replacement character, or ""."""
        return self._utf8.decode(b"", final=True)

    def copy(self) -> ByteDecoder:
        """Return an independent decoder that has read the same ids."""
        other = ByteDecoder(self._piece_bytes, self._drop_spaces)
        other._utf8.setstate(self._utf8.getstate())
        return other


class ByteCodec(ABC):
    """The part of a tokenizer that follows from the string and the bytes of each piece.

    Attributes:
        special_ids: the ids of special tokens by name (pad, unk, bos, eos).
        vocab_size: the number of pieces.
    """

    special_ids: Mapping[str, int]
    vocab_size: int
    _pieces: Sequence[str]
    _bytes: Sequence[bytes]
    _drop_spaces: int

    @abstractmethod
    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: the text; special tokens written in it are only text.
            special: put the tokens before the ids with which a text of this model begins.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids. Special tokens are left out, broken UTF-8 becomes U+FFFD."""
        decoder = self.stream()
        return "".join([decoder.push(int(token_id)) for token_id in ids]) + decoder.flush()

    def stream(self) -> ByteDecoder:
        """Return a decoder for a new text; it drops the space that the tokenizer itself puts there."""
        return ByteDecoder(self.piece_bytes, self._drop_spaces)

    def piece(self, token_id: int) -> str:
        """Return the token's string in the vocabulary, where SentencePiece writes a space as U+2581."""
        return self._pieces[self._check_id(token_id)]

    def piece_bytes(self, token_id: int) -> bytes:
        """Return the bytes that the token adds to the text; none for special tokens."""
        return self._bytes[self._check_id(token_id)]

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """Add a text to a context of ids and tokenize both as a whole.

        What comes before the last special token is kept as it is. A context that is not valid UTF-8, for
        instance because it ends inside a character, is kept whole: it has no text to tokenize again.

        Returns:
            The new ids, and how many of the old ids they begin with.
        """
        special = set(self.special_ids.values())
        start = max((at + 1 for at, token_id in enumerate(ids) if token_id in special), default=0)
        head, tail = list(ids[:start]), list(ids[start:])
        try:
            b"".join(map(self.piece_bytes, tail)).decode()
        except UnicodeDecodeError:
            return head + tail + self.encode(text), len(ids)
        new = head + self.encode(self.decode(tail) + text)
        changed = (at for at, (old_id, new_id) in enumerate(zip(ids, new, strict=False)) if old_id != new_id)
        return new, next(changed, min(len(ids), len(new)))

    def _check_id(self, token_id: int) -> int:
        if 0 <= token_id < self.vocab_size:
            return token_id
        raise TokenizerError(f"ids go from 0 to {self.vocab_size - 1}, got {token_id}; check the id")
