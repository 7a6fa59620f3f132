"""A trained SentencePiece tokenizer: text to ids and back, in pieces and in bytes.

SentencePiece encodes. Decoding is ours, byte by byte, so that a stream of ids gives the text of the whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import sentencepiece

from tokenizer.corpus import SPACE_MARK, FilePath, refuse_surrogates
from tokenizer.errors import TokenizerError
from tokenizer.model_file import BYTE, CONTROL, UNKNOWN, Piece, parse_model_file, read_checked, write_checked
from tokenizer.stream import ByteCodec

__all__ = ["SPACE_MARK", "Tokenizer", "check_text", "load"]

# A line with its newline, or the last line without one.
_LINE = re.compile("[^\n]*\n|[^\n]+")


class Tokenizer(ByteCodec):
    """Text to ids and back; it has all that minilm's TextCodec asks for. A value: nothing in it changes.

    Args:
        model_bytes: the bytes of a .model file.
        notices: what a user should know of how this model was trained or opened, one line each.

    Attributes:
        special_ids: the ids of pad, unk, bos and eos, as far as the model has them.
        vocab_size: the number of pieces.
        notices: as given.
        model: what the .model file says.
        model_bytes: as given.
        digest: the SHA-256 of the .model file, in hex.
        byte_ids: the id of each of the 256 bytes, where the model has byte pieces.
    """

    special_ids: Mapping[str, int]
    vocab_size: int
    notices: tuple[str, ...]

    def __init__(self, model_bytes: bytes, notices: Sequence[str] = ()) -> None:
        self.model = parse_model_file(model_bytes)
        self.model_bytes = bytes(model_bytes)
        self.digest = hashlib.sha256(self.model_bytes).hexdigest()
        self.notices = tuple(notices)
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self.model_bytes)
        except (RuntimeError, OSError, ValueError) as error:
            raise TokenizerError(
                f"SentencePiece cannot open this model: {error}; train it or download it again"
            ) from None
        self.vocab_size = len(self.model.pieces)
        ids = {name: getattr(self._processor, f"{name}_id")() for name in ("pad", "unk", "bos", "eos")}
        # SentencePiece gives -1 for a special token that the model does not have.
        self.special_ids = {name: token_id for name, token_id in ids.items() if token_id >= 0}
        self._pieces = tuple(piece.text for piece in self.model.pieces)
        self._bytes = tuple(map(_find_bytes, self.model.pieces))
        self._drop_spaces = -1 if self.model.remove_extra_whitespaces else int(self.model.add_dummy_prefix)
        self._no_piece_spans_lines = not any("\n" in piece != "\n" for piece in self._pieces)
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
        """Return the ids of a text.

        Args:
            text: the text; special tokens written in it are only text.
            special: put BOS first, where the model has one.

        >>> from tokenizer import train
        >>> codec = train(lines=["to be or not to be"] * 2, vocab_size=275)
        >>> codec.encode("to be"), codec.encode("to be", special=True)
        ([261, 262], [2, 261, 262])
        """
        check_text(text)
        begin = [self.special_ids["bos"]] if special and "bos" in self.special_ids else []
        if not self.model.lossless:
            return begin + self._processor.encode(text)
        # SentencePiece would read a U+2581 of the text as a space, so it is spelled in bytes.
        mark = [self.byte_ids[value] for value in SPACE_MARK.encode()]
        first, *rest = (self._encode_lines(part) for part in text.split(SPACE_MARK))
        return begin + first + [token_id for part in rest for token_id in (*mark, *part)]

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """Return None: a SentencePiece model has no chat template."""
        return None

    def normalized(self, text: str) -> str:
        """Return the text as the model sees it before the first merge, its spaces as spaces."""
        check_text(text)
        return text if self.model.lossless else self._processor.normalize(text).replace(SPACE_MARK, " ")

    def save(self, path: FilePath) -> None:
        """Write the model and, beside it, PATH.sha256. Each file appears whole or not at all."""
        write_checked(Path(path), self.model_bytes)

    def _encode_lines(self, text: str) -> list[int]:
        """Encode line by line where no piece spans a newline: the same ids, three times as fast."""
        lines = _LINE.findall(text) if self._no_piece_spans_lines else [text]
        return [token_id for ids in self._processor.encode(lines, num_threads=1) for token_id in ids]


def load(path: FilePath) -> Tokenizer:
    """Open a .model file, one of ours or any other of SentencePiece.

    With PATH.sha256 beside it (save writes one) every change of the file is refused. Without it, only the
    structure of the file is checked, and `notices` says so: a changed score or letter is not noticed.

    Args:
        path: the file.

    Raises:
        TokenizerError: if the file cannot be read, is damaged, or is no SentencePiece model.
    """
    data, notice = read_checked(Path(path))
    return Tokenizer(data, notices=(notice,) if notice else ())


def check_text(text: str) -> str:
    """Return the text itself if UTF-8 can write it; raise TokenizerError if not."""
    if not isinstance(text, str):
        raise TokenizerError(f"encode takes a text, got {type(text).__name__}; decode it first")
    refuse_surrogates(text, "the text")
    return text


def _find_bytes(piece: Piece) -> bytes:
    """Return the bytes that a piece adds to the text."""
    if piece.kind == BYTE:
        # "<0x41>" is the byte 0x41
        return bytes([int(piece.text[3:5], 16)])
    return b"" if piece.kind in (CONTROL, UNKNOWN) else piece.text.replace(SPACE_MARK, " ").encode()
