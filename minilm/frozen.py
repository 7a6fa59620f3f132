"""Frozen dataclasses with slots that are quick to make, for records that a loop makes by the hundred.

A frozen dataclass sets each of its fields by object.__setattr__, at six times the cost of an assignment. Here
a new record is filled while it still is of a class without the lock, and takes its own class with the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, dataclass_transform

__all__ = ["record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """The class as `@dataclass(frozen=True, slots=True)` makes it, in about half its time.

    No class can inherit from it: what its __init__ makes is of this class.

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
