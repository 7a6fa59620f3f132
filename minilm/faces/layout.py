"""Lay out lines of text: measure, pad, clip, wrap and align, so that every line fits 100 columns.

A cell is the place of one narrow character on a terminal: a wide character takes two cells, a combining mark
none. The text must be visible already (visible.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["WIDTH", "align", "clip", "count_cells", "pad", "wrap_line"]

WIDTH = 100  # columns of a printed record, at most


def count_cells(text: str) -> int:
    """Return how many cells a text takes on a terminal.

    >>> count_cells("ab"), count_cells("中"), count_cells("e\u0301")
    (2, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_count_character_cells(character) for character in text)


def _count_character_cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, right: bool = False) -> str:
    """Return the text with spaces up to `width` cells after it, or with `right` before it."""
    spaces = " " * max(0, width - count_cells(text))
    return spaces + text if right else text + spaces


def clip(text: str, width: int) -> str:
    """Return the text cut to at most `width` cells; a cut text ends in "…", and no escape is cut in half.

    >>> clip("abcdef", 4), clip(r"ab" + chr(92) + "x1b", 4)
    ('abc…', 'ab…')
    """
    if count_cells(text) <= width:
        return text
    kept, used = [], 0
    for unit in _split_units(text):
        used += count_cells(unit)
        if used > width - 1:
            break
        kept.append(unit)
    return "".join(kept) + "…"


def _split_units(text: str) -> list[str]:
    """Return the characters of a text; an escape such as \\x1b is one unit and is never cut."""
    lengths = {"x": 4, "u": 6, "U": 10}
    parts, place = [], 0
    while place < len(text):
        size = 1 if text[place] != "\\" else lengths.get(text[place + 1 : place + 2], 2)
        parts.append(text[place : place + size])
        place += size
    return parts


def wrap_line(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text at spaces into lines of at most `width` cells; all but the first start with `indent`.

    >>> wrap_line("to be or not", 8, " ")
    ['to be or', ' not']
    """
    lines, line = [], ""
    for word in re.findall(r" *[^ ]+| +$", text):
        if count_cells(line + word) <= width or not line.strip():
            line += word
        else:
            lines.append(line)
            line = indent + word.lstrip(" ")
        # A word longer than a line is cut.
        while count_cells(line) > width:
            head = _cut_head(line, width)
            lines.append(head)
            line = indent + line[len(head) :]
    return [*lines, line]


def _cut_head(line: str, width: int) -> str:
    """Return the start of a line, at most `width` cells."""
    used, head = 0, ""
    for unit in _split_units(line):
        used += count_cells(unit)
        if used > width:
            break
        head += unit
    return head


def align(rows: Sequence[Sequence[str]], sides: str, gap: int = 1) -> list[str]:
    """Return a table as lines with aligned columns.

    Args:
        rows: the cells of each row; all rows have the same length.
        sides: a letter for each column: l aligns it left, r right.
        gap: spaces between two columns.

    >>> align([["a", "10"], ["bb", "9"]], "lr")
    ['a  10', 'bb  9']
    """
    widths = [max(count_cells(row[place]) for row in rows) for place in range(len(sides))] if rows else []
    space = " " * gap
    return [
        space.join(
            pad(text, width, side == "r") for text, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]
