"""A corpus as SentencePiece can learn from it: checked, cut into sentences, sampled when very large.

Files are read block by block, so a large file needs little memory. SentencePiece silently skips a line of
more than 4,192 bytes or with a U+2585 in it, reads U+2581 as a space, and learns no piece that holds a NUL.
So lines are cut at those characters.
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

__all__ = [
    "SAMPLE_BYTES",
    "SPACE_MARK",
    "FilePath",
    "check_texts",
    "read_blocks",
    "refuse_surrogates",
    "split_sentences",
    "take_sample",
]

SAMPLE_BYTES = 50_000_000
"""The most bytes of text that are learned from; of a larger text a sample is taken."""

SPACE_MARK = "\u2581"
"""The character that SentencePiece writes for a space in its pieces."""

# The most characters of a line. Even at four bytes each they stay under SentencePiece's 4,192.
_LONGEST = 1_000

# Characters that no learned piece can hold: a line is cut there.
_UNLEARNABLE = re.compile("[\0\u2581\u2585]+")

# A text with none of these, and with short lines, needs no cuts.
_NEEDS_CUTS = re.compile("[\0\r\u2581\u2585]")

# Bytes that are read from a file at once.
_BLOCK = 1 << 20

# The longest part of a line that ends before a space or at its end; without a space, the longest part.
_CUT = re.compile(f".{{1,{_LONGEST}}}(?= |\\Z)|.{{1,{_LONGEST}}}", re.DOTALL)

FilePath = str | os.PathLike[str]


def read_blocks(files: Iterable[FilePath]) -> Iterator[str]:
    """Yield the text of UTF-8 files in blocks of whole lines.

    Raises:
        TokenizerError: for a folder, a file that cannot be read, or bytes that are not UTF-8.
    """
    for name in files:
        path = Path(name)
        if path.is_dir():
            raise TokenizerError(f"a text file is needed, {path} is a folder; name the files in it")
        try:
            with path.open("rb") as stream:
                yield from _decode_blocks(stream, path)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TokenizerError(f"cannot read {path}: {reason}; check the name") from None


def _decode_blocks(stream: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the text of an open file; an error names the place in the whole file, not in a block."""
    offset, line = 0, 1
    # A block ends with a line, so no character is cut in two.
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


def check_texts(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts as they are, each one checked.

    Raises:
        TokenizerError: for an item that is no text, or that UTF-8 cannot write.
    """
    if isinstance(texts, (str, bytes)):
        raise TokenizerError(
            f"lines takes a list of texts, got one {type(texts).__name__}; write lines=[text]"
        )
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TokenizerError(
                f"lines takes texts, item {number} is {type(text).__name__}; decode it first"
            )
        refuse_surrogates(text, f"item {number}")
        yield text


def refuse_surrogates(text: str, name: str) -> None:
    """Raise TokenizerError if UTF-8 cannot write this text, because half of a surrogate pair is in it.

    Args:
        text: the text to check.
        name: what the error calls the text.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = f"U+{ord(text[error.start]):04X}"
        raise TokenizerError(
            f"{name} holds the lone surrogate {code} at character offset {error.start}; "
            "it is not a character, remove it"
        ) from None


def split_sentences(text: str) -> list[str]:
    """Return the lines of a text, cut so that SentencePiece skips none of them.

    A line has at most 1,000 characters; a longer one is cut before a space.

    >>> split_sentences("to be\\n\\nor not\\r\\nto\\0be")
    ['to be', 'or not', 'to', 'be']
    """
    lines = list(filter(None, text.split("\n")))
    if not _NEEDS_CUTS.search(text) and len(max(lines, key=len, default="")) <= _LONGEST:
        # This is nearly always so, and it saves the work on each single line.
        return lines
    parts = [part for line in lines for part in _UNLEARNABLE.split(line.rstrip("\r")) if part]
    return [cut for part in parts for cut in (_CUT.findall(part) if len(part) > _LONGEST else (part,))]


def take_sample(blocks: Iterable[str], seed: int, limit: int = SAMPLE_BYTES) -> tuple[list[str], str | None]:
    """Return all sentences, or a sample of them if the text is too large.

    Args:
        blocks: the text, in blocks of whole lines.
        seed: which sample to take.
        limit: the largest size of the sample, in bytes of UTF-8.

    Returns:
        The sentences, and a line that says that a sample was taken, or None.
    """
    kept: list[str] = []
    size = 0
    blocks = iter(blocks)
    for block in blocks:
        kept += split_sentences(block)
        size += _count_bytes(block)
        if size > limit:
            rest = (part for block in blocks for part in split_sentences(block))
            return _sample_unknown_size(chain(kept, rest), seed, limit)
    return kept, None


def _sample_unknown_size(parts: Iterable[str], seed: int, limit: int) -> tuple[list[str], str | None]:
    """Take a sample without knowing the size of the text beforehand.

    Each sentence draws a number from (seed, its place), and sentences below a threshold are kept. Whenever
    the kept ones exceed the limit, the threshold is halved. Equal input gives an equal sample.
    """
    kept: list[tuple[int, str]] = []
    size = total = 0
    threshold = 1 << 64
    for place, part in enumerate(parts):
        part_size = _count_bytes(part)
        total += part_size
        if total <= limit or _draw_number(seed, place) < threshold:
            kept.append((place, part))
            size += part_size
        while size > limit:
            threshold //= 2
            kept = [(at, part) for at, part in kept if _draw_number(seed, at) < threshold]
            size = sum(_count_bytes(part) for _, part in kept)
    notice = (
        f"the text has {total / 1e6:,.1f} MB, above {limit / 1e6:g} MB: "
        f"trained on a sample of {size / 1e6:,.1f} MB (seed {seed})"
    )
    return [part for _, part in kept], notice if size < total else None


def _count_bytes(text: str) -> int:
    # for ASCII, which is most of the text, the number of characters is the number of bytes
    return len(text) if text.isascii() else len(text.encode())


def _draw_number(seed: int, place: int) -> int:
    """Return a number from 0 to 2^64 - 1 that depends on the seed and the place alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=8).digest(), "little")
