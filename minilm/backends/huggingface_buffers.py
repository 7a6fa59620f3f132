"""Keys and values of one line of reading, written once into growing buffers that many states look at.

transformers would join old and new rows into a new tensor at every step; here a step writes its own rows
only, and a cache of transformers is a view that begins at some length.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

__all__ = ["Branch"]

SPARE_ROWS = 64  # of a fresh buffer or a copied one; a full one grows by half


class _Buffer:
    """Keys and values of one layer, (1, heads, capacity, D); a row is written once and never changed."""

    def __init__(self, pair: tuple[torch.Tensor, torch.Tensor] | None = None) -> None:
        self._pair = pair

    def rows(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self._pair is None:
            raise IndexError(f"rows {start} to {stop} of an empty buffer")
        keys, values = self._pair
        return keys[..., start:stop, :], values[..., start:stop, :]

    def write(self, start: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        stop = start + keys.shape[-2]
        if self._pair is None or self._pair[0].shape[-2] < stop:
            capacity = stop + max(SPARE_ROWS, start // 2)
            old = self.rows(0, start) if start else (keys[..., :0, :], values[..., :0, :])
            self._pair = _roomy(old[0], capacity), _roomy(old[1], capacity)
        for buffer, new in zip(self.rows(start, stop), (keys, values), strict=True):
            buffer.copy_(new)

    def copy(self, length: int) -> _Buffer:
        if not length:
            return _Buffer()
        keys, values = self.rows(0, length)
        return _Buffer((_roomy(keys, length + SPARE_ROWS), _roomy(values, length + SPARE_ROWS)))


def _roomy(rows: torch.Tensor, capacity: int) -> torch.Tensor:
    """A new tensor that begins with the rows and has room for `capacity` of them."""
    fresh = rows.new_empty((*rows.shape[:-2], capacity, rows.shape[-1]))
    fresh[..., : rows.shape[-2], :] = rows
    return fresh


class _Rows(DynamicLayer):
    """A layer of a transformers cache that writes into a buffer from row `length` on."""

    def __init__(self, buffer: _Buffer, length: int) -> None:
        super().__init__()
        self.buffer, self.length = buffer, length
        if length:
            self.keys, self.values = buffer.rows(0, length)
            self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Write the new rows; the keys and values of everything read so far."""
        self.buffer.write(self.length, key_states, value_states)
        self.length += key_states.shape[-2]
        self.keys, self.values = self.buffer.rows(0, self.length)
        self.is_initialized = True
        return self.keys, self.values


class _WindowRows(DynamicSlidingWindowLayer):
    """The same for a sliding window: all rows are kept, so that it can be cut back, the last ones shown."""

    def __init__(self, buffer: _Buffer, length: int, window: int) -> None:
        super().__init__(sliding_window=window)
        self.buffer, self.cumulative_length = buffer, length
        self.is_initialized = bool(length)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Write the new rows; the keys and values that the window lets the new ones see."""
        first = max(0, self.cumulative_length - self.sliding_window + 1)
        self.buffer.write(self.cumulative_length, key_states, value_states)
        self.cumulative_length += key_states.shape[-2]
        self.keys, self.values = self.buffer.rows(first, self.cumulative_length)
        self.is_initialized = True
        return self.keys, self.values


class Branch:
    """The buffers that the states of one line of reading share, and how far they are spoken for.

    windows: of each layer, the width of its sliding window or None.
    """

    def __init__(
        self, windows: Sequence[int | None], buffers: Sequence[_Buffer] = (), length: int = 0
    ) -> None:
        self._windows, self._length, self._lock = windows, length, Lock()
        self._buffers = buffers or [_Buffer() for _ in windows]

    def claim(self, start: int, count: int) -> bool:
        """Whether the rows from `start` on are still free; then `count` of them are the caller's.

        The beginning is never free: it is every reading's, so that each gets a branch of its own.
        """
        with self._lock:
            if not start or self._length != start:
                return False
            self._length += count
            return True

    def copy(self, length: int, count: int) -> Branch:
        """A branch of its own with the first `length` rows, and `count` more spoken for."""
        return Branch(self._windows, [buffer.copy(length) for buffer in self._buffers], length + count)

    def cache(self, length: int) -> Cache:
        """A transformers cache that has read `length` ids and writes into this branch."""
        pairs = zip(self._buffers, self._windows, strict=True)
        return Cache(layers=[_Rows(b, length) if w is None else _WindowRows(b, length, w) for b, w in pairs])
