"""A trained tokenizer: text to ids and back, in pieces and in bytes.

Encoding is SentencePiece's; decoding is ours, byte by byte, so that a stream of ids equals the whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import sentencepiece

from tokenizer.corpus import Path_
from tokenizer.errors import TokenizerError
from tokenizer.model_file import BYTE, CONTROL, UNKNOWN, read_model
from tokenizer.store import read_checked, write_checked
from tokenizer.stream import ByteDecoder

__all__ = ["Tokenizer", "checked_text", "load", "merged"]

_MARK = "\u2581"  # SentencePiece's own sign for a space
_LINE = re.compile("[^\n]*\n|[^\n]+")


class Tokenizer:
    """Text to ids and back; satisfies minilm's TextCodec. A value: nothing in it changes.

    special_ids: of pad, unk, bos and eos, as far as the model has them; notices: what was noticed while
    training or loading, one line each; model_bytes: the .model file; digest: its SHA-256 in hex; byte_ids:
    the id of each of the 256 bytes, where the model falls back on bytes.
    """

    special_ids: Mapping[str, int]
    vocab_size: int
    notices: tuple[str, ...]

    def __init__(self, model_bytes: bytes, notices: Sequence[str] = ()) -> None:
        self.model = read_model(model_bytes)
        self.model_bytes = bytes(model_bytes)
        self.digest = hashlib.sha256(self.model_bytes).hexdigest()
        self.notices = tuple(notices)
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self.model_bytes)
        except (RuntimeError, OSError, ValueError) as error:
            raise TokenizerError(
                f"SentencePiece refuses this model: {error}; train or fetch it again"
            ) from None
        self.vocab_size = len(self.model.pieces)
        names = {name: getattr(self._processor, f"{name}_id")() for name in ("pad", "unk", "bos", "eos")}
        self.special_ids = {name: number for name, number in names.items() if number >= 0}
        self._bytes = tuple(_piece_bytes(piece.text, piece.kind) for piece in self.model.pieces)
        self._newline_alone = not any("\n" in piece.text != "\n" for piece in self.model.pieces)
        self.byte_ids = tuple(self._processor.piece_to_id(f"<0x{value:02X}>") for value in range(256))

    def __repr__(self) -> str:
        kind = "lossless" if self.model.lossless else "normalizing"
        return f"Tokenizer({self.vocab_size} pieces, {kind}, {self.digest[:12]})"

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Tokenizer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[bytes, tuple[str, ...]]]:
        return Tokenizer, (self.model_bytes, self.notices)

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text; with special, BOS first (where the model has one). Text is never special."""
        checked_text(text)
        if self.model.lossless:
            mark = [self.byte_ids[value] for value in _MARK.encode()]
            first, *rest = (self._lines(part) for part in text.split(_MARK))
            ids = first + [number for part in rest for number in (*mark, *part)]
        else:
            ids = self._processor.encode(text)
        begin = [self.special_ids["bos"]] if special and "bos" in self.special_ids else []
        return begin + ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        decoder = self.stream()
        return "".join([decoder.push(token_id) for token_id in ids]) + decoder.flush()

    def piece(self, token_id: int) -> str:
        """The token's string in the vocabulary, where a space is U+2581."""
        return self.model.pieces[self._checked(token_id)].text

    def piece_bytes(self, token_id: int) -> bytes:
        """The bytes that the token adds to the text; empty for special tokens."""
        return self._bytes[self._checked(token_id)]

    def stream(self) -> ByteDecoder:
        """A decoder at the start of a text; it drops the space that the model itself put there."""
        if self.model.remove_extra_whitespaces:
            return ByteDecoder(self.piece_bytes, drop_spaces=-1)
        return ByteDecoder(self.piece_bytes, drop_spaces=int(self.model.add_dummy_prefix))

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """The ids of a context with text added, tokenized as a whole, and how many of ids were kept.

        What stands before the last special token stays, and so does a context that is no whole UTF-8.
        """
        return merged(self, ids, text)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """None: a SentencePiece model has no chat template."""
        return None

    def normalized(self, text: str) -> str:
        """The text as the model sees it before the first merge, its spaces as spaces."""
        checked_text(text)
        return text if self.model.lossless else self._processor.normalize(text).replace(_MARK, " ")

    def save(self, path: Path_) -> None:
        """Write the model and, beside it, PATH.sha256; each appears whole or not at all."""
        write_checked(Path(path), self.model_bytes)

    def _lines(self, text: str) -> list[int]:
        """Ids line by line where no piece spans a newline: the same ids, at three times the speed."""
        lines = _LINE.findall(text) if self._newline_alone else [text]
        return [number for line in self._processor.encode(lines, num_threads=1) for number in line]

    def _checked(self, token_id: int) -> int:
        if 0 <= token_id < self.vocab_size:
            return token_id
        raise TokenizerError(f"ids go from 0 to {self.vocab_size - 1}, got {token_id}")


def load(path: Path_) -> Tokenizer:
    """Open a .model file, ours or another's.

    With PATH.sha256 beside it (save writes one) every change of the file is refused. Without, its
    structure is checked and `notices` says that nothing more was: a changed score or letter would pass.
    """
    data, notice = read_checked(Path(path))
    return Tokenizer(data, notices=(notice,) if notice else ())


def merged(codec: object, ids: Sequence[int], text: str) -> tuple[list[int], int]:
    """merge() of any codec with special_ids, piece_bytes, decode and encode."""
    special = set(codec.special_ids.values())  # type: ignore[attr-defined]
    start = max((at + 1 for at, token_id in enumerate(ids) if token_id in special), default=0)
    head, tail = list(ids[:start]), list(ids[start:])
    try:
        b"".join(codec.piece_bytes(token_id) for token_id in tail).decode()  # type: ignore[attr-defined]
    except UnicodeDecodeError:
        return head + tail + codec.encode(text), len(ids)  # type: ignore[attr-defined]
    new = head + codec.encode(codec.decode(tail) + text)  # type: ignore[attr-defined]
    differ = (at for at, (old, other) in enumerate(zip(ids, new, strict=False)) if old != other)
    return new, next(differ, min(len(ids), len(new)))


def checked_text(text: str) -> str:
    """The text itself, if it is one that UTF-8 can write; else an error with the place."""
    if not isinstance(text, str):
        raise TokenizerError(f"encode wants a text, got {type(text).__name__}; decode it first")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise TokenizerError(
            f"the text holds the lone surrogate {code} at character offset {error.start}; "
            "it is no character, take it out"
        ) from None
    return text


def _piece_bytes(text: str, kind: int) -> bytes:
    if kind == BYTE:
        return bytes([int(text[3:5], 16)])
    return b"" if kind in (CONTROL, UNKNOWN) else text.replace(_MARK, " ").encode()
