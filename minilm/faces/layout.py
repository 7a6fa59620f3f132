"""Lines of display cells: measure, pad, clip, wrap and align, so that every line fits 100 columns.

Wide characters count two cells and combining marks none; the text must be visible already (visible.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["WIDTH", "align", "cells", "clip", "pad", "wrap"]

WIDTH = 100  # columns of a printed record, at most


def cells(text: str) -> int:
    """Columns that a terminal needs for a text.

    >>> cells("ab"), cells("中"), cells("e\u0301")
    (2, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int, right: bool = False) -> str:
    """Spaces up to `width` cells, after the text or (right) before it."""
    room = " " * max(0, width - cells(text))
    return room + text if right else text + room


def clip(text: str, width: int) -> str:
    """At most `width` cells; what was longer ends in an ellipsis, and no escape is cut in half.

    >>> clip("abcdef", 4), clip(r"ab" + chr(92) + "x1b", 4)
    ('abc…', 'ab…')
    """
    if cells(text) <= width:
        return text
    kept, used = [], 0
    for unit in _whole(text):
        used += cells(unit)
        if used > width - 1:
            break
        kept.append(unit)
    return "".join(kept) + "…"


def _whole(text: str) -> list[str]:
    lengths = {"x": 4, "u": 6, "U": 10}
    parts, place = [], 0
    while place < len(text):
        size = 1 if text[place] != "\\" else lengths.get(text[place + 1 : place + 2], 2)
        parts.append(text[place : place + size])
        place += size
    return parts


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most `width` cells, broken at spaces, all but the first begun with `indent`.

    >>> wrap("to be or not", 8, " ")
    ['to be or', ' not']
    """
    lines, line = [], ""
    for word in re.findall(r" *[^ ]+| +$", text):
        if cells(line + word) <= width or not line.strip():
            line += word
        else:
            lines.append(line)
            line = indent + word.lstrip(" ")
        while cells(line) > width:
            head = _head(line, width)
            lines.append(head)
            line = indent + line[len(head) :]
    return [*lines, line]


def _head(line: str, width: int) -> str:
    used, head = 0, ""
    for unit in _whole(line):
        used += cells(unit)
        if used > width:
            break
        head += unit
    return head


def align(rows: Sequence[Sequence[str]], sides: str, gap: int = 1) -> list[str]:
    """Rows of equal length as lines of aligned columns; one letter per column: l left, r right.

    >>> align([["a", "10"], ["bb", "9"]], "lr")
    ['a  10', 'bb  9']
    """
    widths = [max(cells(row[place]) for row in rows) for place in range(len(sides))] if rows else []
    space = " " * gap
    return [
        space.join(
            pad(text, width, side == "r") for text, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in rows
    ]
