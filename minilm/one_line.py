"""A record that holds much, as one line: what it is, its numbers, and the shapes of its arrays.

For records whose arrays or texts would fill a screen; the small ones keep the repr of every dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

__all__ = ["WIDEST", "one_line"]

WIDEST = 200
"""Characters of the longest line; what is longer ends in an ellipsis."""

_FEW = 8  # numbers of a sequence that are shown one by one
_TEXT = 40  # characters of a text


def one_line(self: Any) -> str:
    r"""A dataclass in a line, to be its `__repr__`; what stands at its default is left out.

    >>> import numpy as np
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Look:
    ...     ids: np.ndarray
    ...     slope: float = 0.0
    ...     kind: str = "logits"
    ...     __repr__ = one_line
    >>> Look(np.zeros((2, 7)), 1 / 3)
    Look(ids (2, 7), slope 0.3333)
    """
    shown = [field for field in fields(self) if field.repr]
    values = [(field, getattr(self, field.name)) for field in shown]
    facts = ", ".join(f"{f.name} {_said(value)}" for f, value in values if not _at_default(f, value))
    line = f"{type(self).__name__}({facts})"
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 2]}…)"


def _at_default(field: Field[Any], value: Any) -> bool:
    if field.default_factory is not MISSING:
        return isinstance(value, Mapping | Sequence) and not value
    return value is field.default or (isinstance(value, int | float | str) and value == field.default)


def _said(value: Any) -> str:
    """A value in a few characters: a number, a text cut short, a shape, or how many there are."""
    if getattr(value, "shape", None) == ():
        value = value.item()  # a number of a framework
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None or isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _TEXT else value[: _TEXT - 1] + "…")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if is_dataclass(value) or not hasattr(value, "shape"):
        return _counted(value)
    return str(tuple(value.shape))


def _counted(value: Any) -> str:
    if isinstance(value, Sequence) and len(value) <= _FEW and all(isinstance(v, int | float) for v in value):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, Mapping | Sequence):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return type(value).__name__
