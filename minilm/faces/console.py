"""Write text to a console: in the encoding that it can show, with colours where they are wanted.

A colour never carries meaning alone: it stresses lines that already say "chosen" or "cut by".
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
    r"""Replace what an encoding cannot show: typographic signs by plain ones, the rest by escapes.

    Args:
        text: the text to show.
        encoding: its name; a name that Python does not know counts as ascii.

    >>> to_console("0.4 → 0.6 中", "cp1252")
    '0.4 -> 0.6 \\u4e2d'
    """
    try:
        text.encode(encoding)
    except LookupError:
        return to_console(text, "ascii")
    except UnicodeEncodeError:
        return "".join(_replace_character(character, encoding) for character in text)
    return text


def _replace_character(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()
    return character


def wants_colour(stream: IO[str], environ: Mapping[str, str] | None = None) -> bool:
    """Return whether to use colours: only on a terminal, and not with NO_COLOR (no-color.org) or TERM=dumb.

    Args:
        stream: where the text goes.
        environ: the environment variables; None takes those of this process.
    """
    environ = os.environ if environ is None else environ
    terminal = getattr(stream, "isatty", lambda: False)()
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def paint(text: str) -> str:
    """Return the text with colours: the chosen line bold, cut candidates and entropies dim."""
    return "\n".join(_paint_line(line) for line in text.split("\n"))


def _paint_line(line: str) -> str:
    if "   chosen: " in line:
        return f"\x1b[1;36m{line}\x1b[0m"
    if line.startswith(("step ", "train step ")):
        return f"\x1b[1m{line}\x1b[0m"
    if "   cut by " in line or line.startswith(" entropy "):
        return f"\x1b[2m{line}\x1b[0m"
    return line


def write(text: str, stream: IO[str], *, colour: bool | None = None, end: str = "\n") -> None:
    """Write a text to a stream, without encoding errors.

    Args:
        text: the text to write.
        stream: where it goes.
        colour: True or False; None asks wants_colour.
        end: what comes after the text.
    """
    if colour is None:
        colour = wants_colour(stream)
    shown = to_console(text, getattr(stream, "encoding", None) or "utf-8")
    stream.write((paint(shown) if colour else shown) + end)
