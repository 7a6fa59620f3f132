"""A read-only mapping of arrays made when they are looked at; unwatched training pays nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minilm.records import Array, frozen_array

__all__ = ["LazyArrays"]


class LazyArrays(Mapping[str, Array]):
    """Arrays by name from a framework's own values, through one function that makes a NumPy view.

    >>> import numpy as np
    >>> LazyArrays({"a": [1, 2]}, lambda name, value: np.array(value) * 2)["a"].tolist()
    [2, 4]
    """

    def __init__(self, native: Mapping[str, Any], view: Callable[[str, Any], Array]) -> None:
        self._native, self._view = native, view

    def __getitem__(self, name: str) -> Array:
        return frozen_array(self._view(name, self._native[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._native)

    def __len__(self) -> int:
        return len(self._native)
