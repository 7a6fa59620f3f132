"""What a SentencePiece .model file says: its pieces and the settings that touch the text.

The file is one protobuf message (sentencepiece_model.proto); reading its wire format by hand takes a page
and needs no protobuf package. Fields that do not touch the text are skipped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizer.errors import TokenizerError

__all__ = ["BYTE", "CONTROL", "NORMAL", "UNKNOWN", "UNUSED", "USER_DEFINED", "Model", "Piece", "read_model"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary: its string (a space is U+2581), its score (-rank for BPE), its kind."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class Model:
    """A parsed model; the position of a piece is its id.

    bpe: BPE, else unigram; identity: characters are left as they are.
    """

    pieces: tuple[Piece, ...]
    bpe: bool
    byte_fallback: bool
    identity: bool
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    whitespace_as_suffix: bool

    @property
    def lossless(self) -> bool:
        """True where every text comes back as it was: nothing normalized, every byte has a piece."""
        touched = self.add_dummy_prefix or self.remove_extra_whitespaces or self.whitespace_as_suffix
        return self.identity and self.byte_fallback and not touched


def read_model(data: bytes) -> Model:
    """Parse and check a whole .model file; TokenizerError where it is not a sound one."""
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    try:
        for number, value in _fields(data):
            if number == 1:
                pieces.append(_piece(dict(_fields(_bytes(value)))))
            elif number == 2:
                trainer = dict(_fields(_bytes(value)))
            elif number == 3:
                normalizer = dict(_fields(_bytes(value)))
        _check(pieces)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise TokenizerError(
            f"this is no sound SentencePiece model: {error}; train or fetch it again"
        ) from None
    kind = trainer.get(3, _UNIGRAM)
    if kind not in (_UNIGRAM, _BPE):
        raise TokenizerError("only BPE and unigram models of SentencePiece can be read, this is another kind")
    return Model(
        pieces=tuple(pieces),
        bpe=kind == _BPE,
        byte_fallback=bool(trainer.get(35, False)),
        identity=normalizer.get(1, b"identity") == b"identity" and not normalizer.get(2),
        add_dummy_prefix=bool(normalizer.get(3, True)),
        remove_extra_whitespaces=bool(normalizer.get(4, True)),
        whitespace_as_suffix=bool(trainer.get(24, False)),
    )


def _piece(fields: dict[int, int | bytes]) -> Piece:
    score = struct.unpack("<f", _bytes(fields.get(2, b"\0\0\0\0")))[0]
    kind = fields.get(3, NORMAL)
    if not isinstance(kind, int) or not NORMAL <= kind <= BYTE:
        raise ValueError(f"a piece of unknown kind {kind!r}")
    return Piece(_bytes(fields.get(1, b"")).decode(), score, kind)


def _check(pieces: list[Piece]) -> None:
    texts = {piece.text for piece in pieces}
    if not pieces or "" in texts or len(texts) < len(pieces):
        raise ValueError("its pieces are missing, empty or double")
    if sum(piece.kind == UNKNOWN for piece in pieces) != 1:
        raise ValueError("it has not exactly one unknown piece")
    if not all(math.isfinite(piece.score) for piece in pieces):
        raise ValueError("a score is not a finite number")
    bytes_named = {piece.text for piece in pieces if piece.kind == BYTE}
    if bytes_named and bytes_named != {f"<0x{value:02X}>" for value in range(256)}:
        raise ValueError("its byte pieces are not the 256 bytes")


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number stands where a string belongs")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of a protobuf message: integers, or bytes (strings, messages, fixed widths)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 2, 5):
            size, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("it ends early")
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"a broken number at byte {at}")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
