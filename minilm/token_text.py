"""What a token looks like: its text and its bytes, looked up once each.

A special token shows as its role, `<EOS>`; bytes that are no character of their own as `<0xE2>`.
"""

from __future__ import annotations

from minilm.protocols import TextCodec

__all__ = ["TokenTexts"]


class TokenTexts:
    """A callable id -> (text, bytes) over a codec, with a memory."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        by_role = sorted(codec.special_ids.items(), key=lambda item: item[0] == "eos")
        self._known = {i: (f"<{role.upper()}>", b"") for role, i in by_role}

    def __call__(self, token_id: int) -> tuple[str, bytes]:
        """The text to show for an id, and the bytes that it adds to the text."""
        known = self._known.get(token_id)
        if known is None:
            known = self._known[token_id] = self._look_up(token_id)
        return known

    def _look_up(self, token_id: int) -> tuple[str, bytes]:
        if token_id >= self._codec.vocab_size:
            return f"<{token_id}>", b""  # some models have more rows than their tokenizer has pieces
        raw = self._codec.piece_bytes(token_id)
        if not raw:
            return self._codec.piece(token_id), raw
        try:
            return raw.decode("utf-8"), raw
        except UnicodeDecodeError:
            return "".join(f"<0x{byte:02X}>" for byte in raw), raw
