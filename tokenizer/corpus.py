"""A corpus as SentencePiece can take it: checked, cut into sentences, sampled when very large.

Files are read block by block and never held whole. SentencePiece leaves out, without a word, what has more
than 4,192 bytes or holds U+2585, and reads U+2581 as a space and NUL as an end: so lines are cut there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from tokenizer.errors import TokenizerError

__all__ = ["SAMPLE_BYTES", "file_blocks", "sampled", "sentences", "text_blocks"]

SAMPLE_BYTES = 50_000_000
_LONGEST = 1_000  # characters; four bytes each stay under SentencePiece's 4,192
_UNLEARNABLE = re.compile("[\0\u2581\u2585]+")
_ODD = re.compile("[\0\r\u2581\u2585]")
_BLOCK = 1 << 20  # bytes
_CUT = re.compile(f".{{1,{_LONGEST}}}(?= |\\Z)|.{{1,{_LONGEST}}}", re.DOTALL)

Path_ = str | os.PathLike[str]


def file_blocks(files: Iterable[Path_]) -> Iterator[str]:
    """UTF-8 files in blocks of whole lines; a folder, a missing file or a wrong byte is named."""
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


def _decoded(stream: BinaryIO, path: Path) -> Iterator[str]:
    offset, line = 0, 1
    while block := stream.read(_BLOCK) + stream.readline():
        try:
            yield block.decode()
        except UnicodeDecodeError as error:
            at = error.start
            here = line + block.count(b"\n", 0, at)
            raise TokenizerError(
                f"{path} is not UTF-8: byte 0x{block[at]:02x} at byte offset {offset + at} "
                f"(line {here}); save it as UTF-8"
            ) from None
        offset += len(block)
        line += block.count(b"\n")


def text_blocks(texts: Iterable[str]) -> Iterator[str]:
    """Texts given from Python; what is no text or cannot be UTF-8 is named."""
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
        yield text


def sentences(text: str) -> list[str]:
    """The lines of a text as SentencePiece can learn from them: at most 1,000 characters, cut before a space.

    >>> sentences("to be\\n\\nor not\\r\\nto\\0be")
    ['to be', 'or not', 'to', 'be']
    """
    lines = list(filter(None, text.split("\n")))
    if not _ODD.search(text) and len(max(lines, key=len, default="")) <= _LONGEST:
        return lines  # nearly always, and then nothing is done line by line
    parts = [part for line in lines for part in _UNLEARNABLE.split(line.rstrip("\r")) if part]
    return [cut for part in parts for cut in (_CUT.findall(part) if len(part) > _LONGEST else (part,))]


def sampled(blocks: Iterable[str], seed: int, limit: int = SAMPLE_BYTES) -> tuple[list[str], str | None]:
    """All sentences, or a seeded sample of at most `limit` bytes of UTF-8, and then a line that says so."""
    kept: list[str] = []
    size = 0
    blocks = iter(blocks)
    for block in blocks:
        kept += sentences(block)
        size += _width(block)
        if size > limit:
            return _sample(chain(kept, (part for block in blocks for part in sentences(block))), seed, limit)
    return kept, None


def _sample(parts: Iterable[str], seed: int, limit: int) -> tuple[list[str], str | None]:
    """Each sentence draws a number from (seed, its place); over the limit, the upper half is left out.

    The bar then stays there. So the size need not be known, and equal input gives an equal sample.
    """
    kept: list[tuple[int, str]] = []
    size = total = 0
    bar = 1 << 64
    for place, part in enumerate(parts):
        width = _width(part)
        total += width
        if total <= limit or _draw(seed, place) < bar:
            kept.append((place, part))
            size += width
        while size > limit:
            bar //= 2
            kept = [(at, part) for at, part in kept if _draw(seed, at) < bar]
            size = sum(_width(part) for _, part in kept)
    notice = (
        f"the text has {total / 1e6:,.1f} MB, above {limit / 1e6:g} MB: "
        f"trained on a sample of {size / 1e6:,.1f} MB (seed {seed})"
    )
    return [part for _, part in kept], notice if size < total else None


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _draw(seed: int, place: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=8).digest(), "little")
