"""A doctest in a docstring becomes a block of code on the site."""

from __future__ import annotations

from typing import Any

import griffe

__all__ = ["FenceDoctests"]


def fence(text: str) -> str:
    r"""Put a fence around every doctest, which goes from `>>>` to the next blank line.

    >>> fence("Add.\n\n>>> 1 + 1\n2\n\nThen rest.").splitlines()
    ['Add.', '', '```pycon', '>>> 1 + 1', '2', '```', '', 'Then rest.']
    """
    lines: list[str] = []
    inside = False
    for line in [*text.splitlines(), ""]:
        if line.startswith(">>>") and not inside:
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line)
    return "\n".join(lines[:-1])


class FenceDoctests(griffe.Extension):
    """Fence the doctests of every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = fence(obj.docstring.value)
