"""Reads text that a user keeps in a file: a script, a schema, a text to score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from minilm.errors import MinilmError

__all__ = ["TextCommand", "text_of_file"]

# The options that take several files after one flag.
_FLAGS = ("--text", "--file")


class TextCommand(click.Command):
    """A command whose --text or --file takes several files after one flag, as a shell writes out `*.txt`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the flag before each of its files, then parse as usual."""
        return super().parse_args(ctx, list(_repeat_flags(args)))


def _repeat_flags(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, with the flag before every file.

    >>> list(_repeat_flags(["--text", "a", "b", "-", "--steps", "3"]))
    ['--text', 'a', '--text', 'b', '--text', '-', '--steps', '3']
    """
    flag, waits = "", False
    for argument in arguments:
        if argument in _FLAGS:
            flag, waits = argument, True
        elif argument.startswith("-") and argument != "-" and not waits:
            flag = ""
        elif flag:
            if not waits:
                yield flag
            waits = False
        yield argument


def text_of_file(what: str, path: str | Path, encoding: str = "utf-8-sig") -> str:
    """Return the text of a file.

    Args:
        what: What an error message calls the file, such as "--grammar".
        path: The file.
        encoding: How its bytes are read. The default drops a byte order mark; "utf-8" keeps it in the text.

    Raises:
        MinilmError: The file cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise MinilmError(f"{what} {path} is no UTF-8 text: byte {error.start} is damaged") from error
    except OSError as error:
        raise MinilmError(f"{what} {path} cannot be read: {error.strerror}") from error
