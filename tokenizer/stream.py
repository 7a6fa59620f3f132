"""Bytes to text as they come: a character is shown when its last byte is there, and never before.

The streamed text, flush included, equals the decoding of all bytes at once, for any bytes: both follow
the Unicode rule for damaged UTF-8 (one replacement character per longest broken beginning).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

__all__ = ["ByteDecoder"]

_UTF8 = codecs.getincrementaldecoder("utf-8")


class ByteDecoder:
    """A decoder at the start of a text.

    piece_bytes: the bytes that an id adds; drop_spaces: how many spaces at the very start belong to the
    tokenizer and not to the text (0, 1, or -1 for all).

    >>> decoder = ByteDecoder({7: b"a\\xc3", 8: b"\\xa4"}.__getitem__)
    >>> decoder.push(7), decoder.push(8), decoder.push(7), decoder.flush()
    ('a', 'ä', 'a', '\ufffd')
    """

    def __init__(self, piece_bytes: Callable[[int], bytes], drop_spaces: int = 0) -> None:
        self._piece_bytes = piece_bytes
        self._drop = drop_spaces
        self._utf8 = _UTF8("replace")

    def push(self, token_id: int) -> str:
        """The text that this id completes; "" inside a character."""
        data = self._piece_bytes(token_id)
        if self._drop and data:
            kept = data.lstrip(b" ") if self._drop < 0 else data.removeprefix(b" ")
            self._drop = -1 if self._drop < 0 and not kept else 0
            data = kept
        return self._utf8.decode(data)

    def flush(self) -> str:
        """What is left at the end: a replacement character for bytes that never became one."""
        return self._utf8.decode(b"", final=True)

    def copy(self) -> ByteDecoder:
        """An independent decoder at the same place."""
        twin = ByteDecoder(self._piece_bytes, self._drop)
        twin._utf8.setstate(self._utf8.getstate())
        return twin
