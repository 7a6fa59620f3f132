"""Frozen values: dataclasses that are quick to make, and that show themselves in one line.

A frozen dataclass sets each of its fields by object.__setattr__, at six times the cost of an assignment. Here
a new record is first an object of an unlocked class. When its fields are set, it gets its own, frozen class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, dataclass_transform

__all__ = ["WIDEST", "Shown", "one_line", "record", "show_with"]

T = TypeVar("T")
_faces: list[Callable[[], Any]] = []

WIDEST = 200
"""The most characters of a line; a longer one ends in an ellipsis."""

# The most numbers of a sequence that are shown one by one, and the most characters of a text.
_FEW = 8
_TEXT = 40


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with slots, whose objects are made in about half the time.

    No class can inherit from it, because its __init__ always makes an object of this class.

    >>> @record
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> Point(1.0)
    Point(x=1.0, y=0.0)
    >>> Point(1.0).x = 2.0
    Traceback (most recent call last):
    dataclasses.FrozenInstanceError: cannot assign to field 'x'
    """
    unlocked = dataclass(slots=True)(type(cls.__name__, cls.__bases__, dict(vars(cls))))
    locked: Any = dataclass(frozen=True, slots=True)(cls)
    fill: Callable[..., None] = unlocked.__init__
    become = object.__setattr__

    @wraps(locked.__init__)
    def init(self: Any, *values: Any, **named: Any) -> None:
        become(self, "__class__", unlocked)
        fill(self, *values, **named)
        self.__class__ = locked

    locked.__init__ = init
    return locked


def show_with(load: Callable[[], Any]) -> None:
    """Name the faces that show records.

    Args:
        load: called when a record is first shown; returns an object whose `show_text(record)` and
            `show_html(record)` give strings. It is called late, so that importing minilm loads no face.
    """
    _faces[:] = [load]


class Shown:
    """A record with faces: one line as repr, text as str, HTML in a notebook.

    Records are imported by the faces and so cannot import them; `show_with` hands the faces over.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return _faces[0]().show_text(self) if _faces else repr(self)

    def _repr_html_(self) -> str | None:
        return _faces[0]().show_html(self) if _faces else None


def one_line(self: Any) -> str:
    r"""Return a dataclass in one line, as its `__repr__`; fields with their default values are left out.

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
    facts = ", ".join(f"{f.name} {_short(value)}" for f, value in values if not _at_default(f, value))
    line = f"{type(self).__name__}({facts})"
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 2]}…)"


def _at_default(field: Field[Any], value: Any) -> bool:
    if field.default_factory is not MISSING:
        return isinstance(value, Mapping | Sequence) and not value
    return value is field.default or (isinstance(value, int | float | str) and value == field.default)


def _short(value: Any) -> str:
    """Return a value in a few characters: a number, a shortened text, a shape, or a count of entries."""
    if getattr(value, "shape", None) == ():
        # A number of a framework
        value = value.item()
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
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, Mapping | Sequence):
        return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return type(value).__name__
