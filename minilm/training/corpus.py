"""Text to train on: the user's files, or Storyland; each with a part held out for validation.

A corpus holds texts, not ids: the tokenizer comes later. A byte order mark at the start of a text is removed;
all else stays, newlines included.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.training.storyland.stories import stories

__all__ = [
    "STANDARD_INPUT",
    "Corpus",
    "find_texts",
    "from_files",
    "from_storyland",
    "from_texts",
    "read_text",
]

STANDARD_INPUT = "-"
"""What a user writes for the text that comes from standard input."""

# The share at the end of a text that is never trained on.
HELD_OUT = 0.1


@dataclass(frozen=True)
class Corpus:
    """Documents to train on, and documents held out.

    Attributes:
        name: for people.
        train: the documents to train on.
        held_out: the documents for validation.
        whole: the documents are short; each is one row of a batch, not cut into windows.
    """

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    whole: bool = False

    __repr__ = one_line


def from_files(paths: Iterable[str | Path]) -> Corpus:
    """Read files of UTF-8 text, each one document; the last tenth of each is held out.

    Args:
        paths: what `find_texts` takes.

    Raises:
        MinilmError: a file is missing, cannot be read, is empty, or is not UTF-8 (with the place of the
        byte).
    """
    found = find_texts(paths)
    texts = [read_text(path) for path in found]
    for path, text in zip(found, texts, strict=True):
        if not text.strip():
            raise MinilmError(f"{_named(path)} holds no text; give a file with some")
    return from_texts(texts, ", ".join(Path(path).name for path in found))


def find_texts(paths: Iterable[str | Path]) -> list[str]:
    """Return the files that some names mean, in the order of the names.

    Args:
        paths: each a file; a folder, for all .txt files in it and below; a pattern such as `books/*.txt`; or
            "-" for standard input, at most once.

    Raises:
        MinilmError: a folder or a pattern has no file.
    """
    found: list[str] = []
    for path in map(str, paths):
        if path != STANDARD_INPUT and Path(path).is_dir():
            files = sorted(str(file) for file in Path(path).rglob("*.txt") if file.is_file())
            if not files:
                raise MinilmError(f"{path} is a folder without .txt files; give text files")
        elif not Path(path).exists() and glob.has_magic(path):
            files = sorted(file for file in glob.glob(path, recursive=True) if Path(file).is_file())
            if not files:
                raise MinilmError(f"No file matches {path}")
        else:
            files = [path]
        found += files
    if found.count(STANDARD_INPUT) > 1:
        raise MinilmError("Standard input can be read once; write - once")
    return found


def from_texts(texts: Sequence[str], name: str = "text") -> Corpus:
    """Make a corpus of texts, each one document; the last tenth of each is held out.

    >>> from_texts(["0123456789"]).held_out
    ('9',)
    """
    for text in texts:
        if len(text) < 2:
            raise MinilmError(f"A text of {len(text)} characters cannot be trained on; give a longer one")
    cuts = [min(int(len(text) * (1 - HELD_OUT)), len(text) - 1) for text in texts]
    train = tuple(text[:cut] for text, cut in zip(texts, cuts, strict=True))
    return Corpus(name, train, tuple(text[cut:] for text, cut in zip(texts, cuts, strict=True)))


def from_storyland(count: int = 10_000, seed: int = 0, held_out: int = 200) -> Corpus:
    """Make a corpus of stories, each one document; the held-out ones come from another seed.

    Args:
        count: stories to train on.
        seed: of the stories.
        held_out: stories for validation.
    """
    train = tuple(story.text for story in stories(seed, count))
    return Corpus("Storyland", train, tuple(story.text for story in stories(-1 - seed, held_out)), whole=True)


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file, or of standard input for "-"; a byte order mark is removed.

    Raises:
        MinilmError: it is missing, cannot be read, or is not UTF-8 (with the place of the byte).
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == STANDARD_INPUT else Path(path).read_bytes()
    except FileNotFoundError:
        raise MinilmError(f"Text file {path} does not exist") from None
    except OSError as error:
        raise MinilmError(f"Text file {path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MinilmError(
            f"{_named(path)} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}, in line {line}; "
            f"convert it first, for example with iconv -t UTF-8"
        ) from None


def _named(path: str | Path) -> str:
    return "Standard input" if str(path) == STANDARD_INPUT else str(path)
