"""Text that a user keeps in a file: a script, a schema, what shall be scored."""

from __future__ import annotations

from pathlib import Path

from minilm.errors import MinilmError

__all__ = ["text_of_file"]


def text_of_file(what: str, path: str | Path, encoding: str = "utf-8-sig") -> str:
    """The text of a file; what: how an error calls it. Raises MinilmError where it cannot be read.

    encoding: utf-8, where a byte order mark belongs to the text.
    """
    try:
        return Path(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise MinilmError(f"{what} {path} is no UTF-8 text: byte {error.start} is damaged") from error
    except OSError as error:
        raise MinilmError(f"{what} {path} cannot be read: {error.strerror}") from error
