"""Text to train on: files of one's own, or Storyland; each with a part held out.

A corpus is texts, not ids: the tokenizer comes later. Nothing of a text is changed but for a byte order
mark at its start; newlines stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.training.storyland.stories import stories

__all__ = ["Corpus", "from_files", "from_storyland", "from_texts"]

HELD_OUT = 0.1  # the share at the end of a file that is never trained on


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and documents held out.

    whole: the documents are short and are read from their beginning, never cut into windows.
    """

    name: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    whole: bool = False

    __repr__ = one_line


def from_files(paths: Iterable[str | Path]) -> Corpus:
    """Files of UTF-8 text, each one document; the last tenth of each is held out.

    Raises MinilmError for what is no file, cannot be read, is empty, or is not UTF-8 (with the byte offset).
    """
    paths = [Path(path) for path in paths]
    return from_texts([_text(path) for path in paths], ", ".join(path.name for path in paths))


def from_texts(texts: Sequence[str], name: str = "text") -> Corpus:
    """Texts that are already in memory, each one document; the last tenth of each is held out.

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
    """Stories of a seed, each one document; the held-out ones come from another seed."""
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
