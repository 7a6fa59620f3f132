"""A codec of made-up words, for measuring with vocabularies of any size and no file to load.

Token i is the word "wi"; the first four ids are special, as in our tokenizers. Both sides of a figure use it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Words"]


class _Decoder:
    def __init__(self, codec: Words) -> None:
        self._codec = codec

    def push(self, token_id: int) -> str:
        return self._codec.piece_bytes(token_id).decode()

    def flush(self) -> str:
        return ""

    def copy(self) -> _Decoder:
        return self


class Words:
    """A TextCodec whose text is " w17 w4": one token a word."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.special_ids: Mapping[str, int] = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text of words; begun with BOS where special.

        >>> Words(64).encode(" w17 w4", special=True)
        [2, 17, 4]
        """
        return [2] * special + [int(word[1:]) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return "".join(self.piece_bytes(i).decode() for i in ids)

    def piece(self, token_id: int) -> str:
        """The word, with its space shown."""
        return f"▁w{token_id}"

    def piece_bytes(self, token_id: int) -> bytes:
        """The word with its space, as bytes; nothing for the special ids."""
        return b" w%d" % token_id if token_id > 3 else b""

    def stream(self) -> _Decoder:
        """A decoder: every id completes its word."""
        return _Decoder(self)

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """The ids with those of the text behind them."""
        return [*ids, *self.encode(text)], len(ids)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> None:
        """No template."""
