"""A SentencePiece .model file: write it whole with its digest, read it checked, and parse what it says.

The file is one protobuf message (sentencepiece_model.proto). Reading its wire format by hand takes a page and
needs no protobuf package. Fields that do not change how text is encoded are skipped.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizer.errors import TokenizerError

__all__ = [
    "BYTE",
    "CONTROL",
    "NORMAL",
    "UNKNOWN",
    "UNUSED",
    "USER_DEFINED",
    "Model",
    "Piece",
    "parse_model_file",
    "read_checked",
    "write_checked",
]

# The kinds of pieces and the kinds of models, as sentencepiece_model.proto numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary.

    Attributes:
        text: its string, in which a space is U+2581.
        score: for BPE the negative rank: 0 for the piece learned first, then -1, -2, ...
        kind: NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED or BYTE.
    """

    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class Model:
    """A parsed model.

    Attributes:
        pieces: the vocabulary; the position of a piece is its id.
        bpe: True for a BPE model, False for a unigram model.
        byte_fallback: characters that are no piece are spelled in byte pieces.
        identity: no character is normalized to another.
        add_dummy_prefix: a space is put before every text.
        remove_extra_whitespaces: runs of spaces are folded to one.
        whitespace_as_suffix: a space belongs to the word before it.
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
        """True if every text decodes to itself: nothing is normalized and every byte has a piece."""
        changes_spaces = self.add_dummy_prefix or self.remove_extra_whitespaces or self.whitespace_as_suffix
        return self.identity and self.byte_fallback and not changes_spaces


def parse_model_file(data: bytes) -> Model:
    """Parse and check the bytes of a .model file.

    Raises:
        TokenizerError: if the bytes are no valid model, or a model of another kind than BPE and unigram.
    """
    try:
        pieces, trainer, normalizer = _parse_model(data)
        _check_pieces(pieces)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise TokenizerError(
            f"this is no valid SentencePiece model: {error}; train it or download it again"
        ) from None
    kind = trainer.get(3, _UNIGRAM)
    if kind not in (_UNIGRAM, _BPE):
        raise TokenizerError(
            "only BPE and unigram models can be read, this is another kind of model; train a BPE model"
        )
    # A field that is missing has the default that sentencepiece_model.proto gives it.
    return Model(
        pieces=tuple(pieces),
        bpe=kind == _BPE,
        byte_fallback=bool(trainer.get(35, False)),
        identity=normalizer.get(1, b"identity") == b"identity" and not normalizer.get(2),
        add_dummy_prefix=bool(normalizer.get(3, True)),
        remove_extra_whitespaces=bool(normalizer.get(4, True)),
        whitespace_as_suffix=bool(trainer.get(24, False)),
    )


def _parse_model(data: bytes) -> tuple[list[Piece], dict[int, int | bytes], dict[int, int | bytes]]:
    """Return the pieces, and the fields of the trainer's and of the normalizer's settings by number."""
    pieces: list[Piece] = []
    settings: dict[int, dict[int, int | bytes]] = {2: {}, 3: {}}
    for number, value in _parse_fields(data):
        # ModelProto: 1 is a piece (repeated), 2 the trainer's settings, 3 the normalizer's settings.
        if number == 1:
            pieces.append(_parse_piece(dict(_parse_fields(_require_bytes(value)))))
        elif number in settings:
            settings[number] = dict(_parse_fields(_require_bytes(value)))
    return pieces, settings[2], settings[3]


def _parse_piece(fields: dict[int, int | bytes]) -> Piece:
    """Return a piece from its fields: 1 is its string, 2 its score, 3 its kind."""
    score = struct.unpack("<f", _require_bytes(fields.get(2, b"\0\0\0\0")))[0]
    kind = fields.get(3, NORMAL)
    if not isinstance(kind, int) or not NORMAL <= kind <= BYTE:
        raise ValueError(f"a piece has the unknown kind {kind!r}")
    return Piece(_require_bytes(fields.get(1, b"")).decode(), score, kind)


def _check_pieces(pieces: list[Piece]) -> None:
    """Raise ValueError for a vocabulary with which SentencePiece could crash or decode wrongly."""
    texts = {piece.text for piece in pieces}
    if not pieces or "" in texts or len(texts) < len(pieces):
        raise ValueError("pieces are missing, empty or listed twice")
    if sum(piece.kind == UNKNOWN for piece in pieces) != 1:
        raise ValueError("it does not have exactly one unknown piece")
    if not all(math.isfinite(piece.score) for piece in pieces):
        raise ValueError("a score is not a finite number")
    bytes_named = {piece.text for piece in pieces if piece.kind == BYTE}
    if bytes_named and bytes_named != {f"<0x{value:02X}>" for value in range(256)}:
        raise ValueError("its byte pieces are not exactly the 256 bytes")


def _require_bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("it has a number where a string belongs")
    return value


def _parse_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message.

    A value is an integer, or bytes for a string, a nested message or a number of fixed width.
    """
    at = 0
    while at < len(data):
        # The low 3 bits of a key are the wire type: how the value is written. The rest is the field's number.
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(data, at)
        elif wire in (1, 2, 5):
            # Wire types 1 and 5 have 8 and 4 bytes; wire type 2 begins with its length.
            size, at = _read_varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("it ends early")
        else:
            raise ValueError(f"unknown wire type {wire} at byte {at}")
        yield number, value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an integer of variable length and the offset after it.

    Each byte holds 7 bits, the lowest first; its highest bit says that another byte follows.

    >>> _read_varint(bytes([0b1010_1100, 0b0000_0010]), 0)
    (300, 2)
    """
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"a broken number at byte {at}")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def write_checked(path: Path, data: bytes) -> None:
    """Write `data` to path, and its SHA-256 to path.sha256 in the format of the command sha256sum.

    The old digest is removed first and the new one is written last, so a crash in between leaves a whole
    model, old or new, that opens without a digest.

    Raises:
        TokenizerError: if a file cannot be written.
    """
    digest_path = _digest_path(path)
    try:
        digest_path.unlink(missing_ok=True)
        _replace(path, data)
        _replace(digest_path, f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TokenizerError(f"cannot write {path}: {reason}; name a file in a folder that exists") from None


def read_checked(path: Path) -> tuple[bytes, str | None]:
    """Read a file and check it against the digest beside it.

    Returns:
        The bytes, and None or, where there is no digest, a line that says that the file was not checked.

    Raises:
        TokenizerError: if the file cannot be read or does not match its digest.
    """
    if path.is_dir():
        raise TokenizerError(f"a .model file is needed, {path} is a folder; name the file in it")
    digest_path = _digest_path(path)
    try:
        data = path.read_bytes()
        wanted = digest_path.read_bytes().split(b" ")[0].strip() if digest_path.exists() else None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TokenizerError(f"cannot read {path}: {reason}; check the name") from None
    if wanted is None:
        return data, f"no {digest_path.name} beside {path.name}: it was opened unchecked"
    if hashlib.sha256(data).hexdigest().encode() != wanted:
        raise TokenizerError(
            f"{path} is damaged: it does not match {digest_path.name}; download or train it again "
            "(if you changed it on purpose, remove that file)"
        )
    return data, None


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _replace(path: Path, data: bytes) -> None:
    """Write a temporary file beside `path`, flush it to the disk, and rename it to `path`.

    A rename is atomic, so a reader sees the old file or the new one, never a part. The folder is flushed
    last, because the new name is stored there.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
