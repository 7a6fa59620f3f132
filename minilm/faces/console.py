"""What a console can show: its encoding, and colours that never carry meaning alone.

No text is made here; lines that say "chosen" or "cut by" already are only stressed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO

__all__ = ["paint", "to_console", "wants_colour", "write"]

_PLAIN = {
    "→": "->", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": "*", "≥": ">=", "≤": "<=", "≈": "~",
    "Δ": "d", "│": "|", "─": "-", "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": ":", "▎": ":",
    "▏": ":",
}  # fmt: skip


def to_console(text: str, encoding: str) -> str:
    r"""The text as an encoding can show it: plain signs for typographic ones, visible escapes for the rest.

    A name that Python does not know counts as ascii.

    >>> to_console("0.4 → 0.6 中", "cp1252")
    '0.4 -> 0.6 \\u4e2d'
    """
    try:
        text.encode(encoding)
    except LookupError:
        return to_console(text, "ascii")
    except UnicodeEncodeError:
        return "".join(_fitting(character, encoding) for character in text)
    return text


def _fitting(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
    return character


def wants_colour(stream: IO[str], environ: Mapping[str, str] | None = None) -> bool:
    """Only a terminal, never with NO_COLOR (any value, see no-color.org) or TERM=dumb."""
    environ = os.environ if environ is None else environ
    terminal = getattr(stream, "isatty", lambda: False)()
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def paint(text: str) -> str:
    """The text face with the chosen line bold, cut candidates and the facts dim: the words stay."""
    return "\n".join(_painted(line) for line in text.split("\n"))


def _painted(line: str) -> str:
    if "   chosen: " in line:
        return f"\x1b[1;36m{line}\x1b[0m"
    if line.startswith(("step ", "train step ")):
        return f"\x1b[1m{line}\x1b[0m"
    if "   cut by " in line or line.startswith(" entropy "):
        return f"\x1b[2m{line}\x1b[0m"
    return line


def write(text: str, stream: IO[str], *, colour: bool | None = None, end: str = "\n") -> None:
    """Send a face to a stream: never an encoding error, colour only where it is wanted.

    colour: True or False to insist, None to ask `wants_colour`.
    """
    shown = to_console(text, getattr(stream, "encoding", None) or "utf-8")
    stream.write((paint(shown) if (wants_colour(stream) if colour is None else colour) else shown) + end)
