"""What a transformers model has read, as a value: old states stay usable, only branching allocates.

A state of an attention model is (the branch's buffers, a length): an older state is a shorter view of the
same buffers. Recurrent caches cannot be cut back and are copied; where there is no cache at all, the ids
are kept and read again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

__all__ = ["CopiedState", "RereadState", "SharedState", "State", "empty_state"]

LEAST_ROWS = 64  # rows of a fresh buffer; it grows by half each time it is full


class _Buffer:
    """Keys and values of one layer, (1, heads, capacity, D); rows are written once and never changed."""

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def write(self, start: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        stop = start + keys.shape[-2]
        if self.keys is None or self.keys.shape[-2] < stop:
            capacity = max(stop, LEAST_ROWS, start * 3 // 2)
            self.keys = _grown(self.keys, keys, start, capacity)
            self.values = _grown(self.values, values, start, capacity)
        self.keys[..., start:stop, :] = keys
        self.values[..., start:stop, :] = values

    def copy(self, length: int) -> _Buffer:
        fresh = _Buffer()
        if self.keys is not None and length:
            fresh.write(0, self.keys[..., :length, :], self.values[..., :length, :])
        return fresh


def _grown(old: torch.Tensor | None, like: torch.Tensor, kept: int, capacity: int) -> torch.Tensor:
    fresh = like.new_empty((*like.shape[:-2], capacity, like.shape[-1]))
    if old is not None:
        fresh[..., :kept, :] = old[..., :kept, :]
    return fresh


class _Rows(DynamicLayer):
    """A layer of a transformers cache that writes into a buffer from row `length` on."""

    def __init__(self, buffer: _Buffer, length: int) -> None:
        super().__init__()
        self.buffer, self.length = buffer, length
        self._look()

    def _look(self) -> None:
        if self.length:
            self.keys = self.buffer.keys[..., : self.length, :]
            self.values = self.buffer.values[..., : self.length, :]
            self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Write the new rows; the keys and values of everything read so far."""
        self.buffer.write(self.length, key_states, value_states)
        self.length += key_states.shape[-2]
        self._look()
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
        seen = slice(first, self.cumulative_length)
        self.keys, self.values = self.buffer.keys[..., seen, :], self.buffer.values[..., seen, :]
        return self.keys, self.values


@dataclass(eq=False)
class _Branch:
    """The buffers that the states of one line of reading share, and how far they are spoken for."""

    windows: list[int | None]
    buffers: list[_Buffer]
    length: int = 0
    lock: Lock = field(default_factory=Lock, repr=False)

    def claim(self, start: int, count: int) -> bool:
        """Whether the rows from `start` on are still free; then they are the caller's."""
        with self.lock:
            if self.length != start:
                return False
            self.length += count
            return True

    def copy(self, length: int) -> _Branch:
        return _Branch(self.windows, [buffer.copy(length) for buffer in self.buffers], length)

    def cache(self, length: int) -> Cache:
        pairs = zip(self.buffers, self.windows, strict=True)
        return Cache(layers=[_Rows(b, length) if w is None else _WindowRows(b, length, w) for b, w in pairs])


@dataclass(frozen=True, eq=False)
class SharedState:
    """After `length` ids of a branch whose newest state may lie further on."""

    branch: _Branch = field(repr=False)
    length: int = 0

    def extended(self, ids: list[int]) -> tuple[Cache, SharedState]:
        """A cache to read ids into, and the state after them; a state that was read on from before branches."""
        count = len(ids)
        branch = self.branch
        if not branch.claim(self.length, count):
            branch = branch.copy(self.length)
            branch.claim(self.length, count)
        return branch.cache(self.length), SharedState(branch, self.length + count)

    def aside(self) -> Cache:
        """A cache of its own, for a second reading that leaves no trace."""
        return self.branch.copy(self.length).cache(self.length)


@dataclass(frozen=True, eq=False)
class CopiedState:
    """After `length` ids, with a cache of its own that nobody writes into."""

    kept: Cache = field(repr=False)
    length: int = 0

    def extended(self, ids: list[int]) -> tuple[Cache, CopiedState]:
        """A copy to read ids into, and the state after them."""
        cache = self.aside()
        return cache, CopiedState(cache, self.length + len(ids))

    def aside(self) -> Cache:
        """A copy of the cache."""
        return copy.deepcopy(self.kept)


@dataclass(frozen=True)
class RereadState:
    """After these ids; a model without a cache reads them again each time."""

    ids: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """How many ids were read."""
        return len(self.ids)

    def extended(self, ids: list[int]) -> tuple[None, RereadState]:
        """No cache, and the state after the ids."""
        return None, RereadState((*self.ids, *ids))

    def aside(self) -> None:
        """No cache."""


State = SharedState | CopiedState | RereadState


def empty_state(net: Any) -> Callable[[], State]:
    """How a transformers model's reading begins: a function that makes its state before the first id."""
    if not net._supports_default_dynamic_cache():
        return RereadState
    layers = DynamicCache(config=net.config).layers
    if not layers or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return lambda: CopiedState(DynamicCache(config=net.config))
    windows = [getattr(layer, "sliding_window", None) for layer in layers]
    return lambda: SharedState(_Branch(windows, [_Buffer() for _ in windows]))
