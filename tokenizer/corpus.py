"""A corpus as SentencePiece can take it: checked, cut into sentences, sampled when very large.

Files are read line by line and never held whole. SentencePiece leaves out, without a word, what has more
than 4,192 bytes or holds U+2585, and reads U+2581 as a space and NUL as an end: so lines are cut there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizer.errors import TokenizerError

__all__ = ["SAMPLE_BYTES", "file_lines", "sampled", "sentences", "text_lines"]

SAMPLE_BYTES = 50_000_000
_LONGEST = 1_000  # characters; four bytes each stay under SentencePiece's 4,192
_UNLEARNABLE = re.compile("[\0\u2581\u2585]+")
_CUT = re.compile(f".{{1,{_LONGEST}}}(?= |\\Z)|.{{1,{_LONGEST}}}", re.DOTALL)

Path_ = str | os.PathLike[str]


def file_lines(files: Iterable[Path_]) -> Iterator[str]:
    """The lines of UTF-8 files, line ends kept; a folder, a missing file or a wrong byte is named."""
    for name in files:
        path = Path(name)
        if path.is_dir():
            raise TokenizerError(f"a text file is wanted, {path} is a folder; name the files in it")
        try:
            with path.open("rb") as stream:
                yield from _decoded(stream, path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TokenizerError(f"cannot read {path}: {reason}; check the name") from None


def _decoded(stream: Iterable[bytes], path: Path) -> Iterator[str]:
    offset = 0
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise TokenizerError(
                f"{path} is not UTF-8: byte 0x{line[error.start]:02x} at byte offset {offset + error.start} "
                f"(line {number}); save it as UTF-8"
            ) from None
        offset += len(line)


def text_lines(texts: Iterable[str]) -> Iterator[str]:
    """The lines of texts given from Python; what is no text or cannot be UTF-8 is named."""
    if isinstance(texts, (str, bytes)):
        raise TokenizerError(f"lines wants several texts, got one {type(texts).__name__}; write lines=[text]")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TokenizerError(
                f"lines wants texts, item {number} is {type(text).__name__}; decode it first"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = f"U+{ord(text[error.start]):04X}"
            raise TokenizerError(
                f"item {number} holds the lone surrogate {code} at character offset {error.start}; "
                "it is no character, take it out"
            ) from None
        yield from text.split("\n")


def sentences(line: str) -> Iterator[str]:
    """One line as SentencePiece can learn from it, in parts of at most 1,000 characters cut before a space.

    >>> list(sentences("to be\\n"))
    ['to be']
    """
    for part in _UNLEARNABLE.split(line.rstrip("\r\n")):
        if part:
            yield from _CUT.findall(part) if len(part) > _LONGEST else (part,)


def sampled(lines: Iterable[str], seed: int, limit: int = SAMPLE_BYTES) -> tuple[list[str], str | None]:
    """All sentences, or a seeded sample of at most `limit` bytes of UTF-8, and then a line that says so.

    Each sentence draws a number from (seed, its place); over the limit, the upper half of those kept is left
    out and the bar stays there. So the size need not be known and equal input gives an equal sample.
    """
    kept: list[tuple[int, str]] = []
    size = total = 0
    bar = 1 << 64
    for place, part in enumerate(part for line in lines for part in sentences(line)):
        width = _width(part)
        total += width
        if total <= limit or _draw(seed, place) < bar:
            kept.append((place, part))
            size += width
        while size > limit:
            bar //= 2
            kept = [(at, part) for at, part in kept if _draw(seed, at) < bar]
            size = sum(_width(part) for _, part in kept)
    notice = None
    if size < total:
        notice = (
            f"the text has {total / 1e6:,.1f} MB, above {limit / 1e6:g} MB: "
            f"trained on a sample of {size / 1e6:,.1f} MB (seed {seed})"
        )
    return [part for _, part in kept], notice


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _draw(seed: int, place: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=8).digest(), "little")
