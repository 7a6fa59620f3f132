"""Text to train on: the user's files, or Storyland; each with a part held out for validation.

A corpus holds texts, not ids: the tokenizer comes later. A byte order mark at the start of a text is removed;
all else stays, newlines included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.training.storyland.stories import stories

__all__ = ["Corpus", "from_files", "from_storyland", "from_texts"]

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

    Raises:
        MinilmError: a file is missing, cannot be read, is empty, or is not UTF-8 (with the place of the
        byte).
    """
    paths = [Path(path) for path in paths]
    return from_texts([_text(path) for path in paths], ", ".join(path.name for path in paths))


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


def _text(path: Path) -> str:
    if path.is_dir():
        raise MinilmError(f"{path} is a folder; give text files, for example {path}/*.txt")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MinilmError(f"Text file {path} does not exist") from None
    except OSError as error:
        raise MinilmError(f"Text file {path} cannot be read: {error.strerror}") from None
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise MinilmError(
            f"{path} is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}; "
            f"convert it first, for example with iconv -t UTF-8"
        ) from None
    if not text.strip():
        raise MinilmError(f"{path} holds no text; give a file with some")
    return text
