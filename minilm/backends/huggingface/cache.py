"""Keys and values of one line of reading, written once into growing buffers that many states look at.

transformers would join old and new rows into a new tensor at every step; here a step writes its own rows
only, and a cache of transformers is a view that begins at some length.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

__all__ = ["Branch", "CopiedState", "RereadState", "SharedState", "State", "cache_argument", "empty_state"]

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


@dataclass(frozen=True, eq=False)
class SharedState:
    """After `length` ids of a branch whose newest state may lie further on."""

    branch: Branch = field(repr=False)
    length: int = 0

    def extended(self, ids: list[int]) -> tuple[Cache, list[int], SharedState]:
        """A cache, the ids to read into it, and the state after them.

        Of two states read on from the same place, the second gets a branch of its own.
        """
        branch, count = self.branch, len(ids)
        if not branch.claim(self.length, count):
            branch = branch.copy(self.length, count)
        return branch.cache(self.length), ids, SharedState(branch, self.length + count)

    def aside(self, ids: list[int]) -> tuple[Cache, list[int]]:
        """A cache of its own and the ids to read into it: a second reading that leaves no trace."""
        return self.branch.copy(self.length, len(ids)).cache(self.length), ids


@dataclass(frozen=True, eq=False)
class CopiedState:
    """After these ids, with a cache of its own that nobody writes into."""

    fresh: Callable[[], Cache] = field(repr=False)
    ids: tuple[int, ...] = ()
    kept: Cache | None = field(default=None, repr=False)

    @property
    def length(self) -> int:
        """How many ids were read."""
        return len(self.ids)

    def extended(self, ids: list[int]) -> tuple[Cache, list[int], CopiedState]:
        """A cache, the ids to read into it, and the state after them."""
        cache, read = self.aside(ids)
        return cache, read, CopiedState(self.fresh, (*self.ids, *ids), cache)

    def aside(self, ids: list[int]) -> tuple[Cache, list[int]]:
        """A copy of the cache for one id; for several an empty one, and all ids from the start.

        Mamba's form for several ids starts from nothing, whatever the cache holds (transformers 5.23).
        """
        if self.kept is None or len(ids) > 1:
            return self.fresh(), [*self.ids, *ids]
        return copy.deepcopy(self.kept), ids


@dataclass(frozen=True)
class RereadState:
    """After these ids; a model without a cache that can be handed to it reads them again each time."""

    ids: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """How many ids were read."""
        return len(self.ids)

    def extended(self, ids: list[int]) -> tuple[None, list[int], RereadState]:
        """No cache, all ids from the start, and the state after them."""
        return None, [*self.ids, *ids], RereadState((*self.ids, *ids))

    def aside(self, ids: list[int]) -> tuple[None, list[int]]:
        """No cache, and all ids from the start."""
        return None, [*self.ids, *ids]


State = SharedState | CopiedState | RereadState


def cache_argument(net: Any) -> str | None:
    """The name under which a model takes its cache, None where it takes none."""
    takes = inspect.signature(net.forward).parameters
    return next((name for name in ("past_key_values", "cache", "cache_params") if name in takes), None)


def empty_state(net: Any) -> State:
    """The state of a transformers model before the first id."""
    if cache_argument(net) is None or not net._supports_default_dynamic_cache():
        return RereadState()
    layers = DynamicCache(config=net.config).layers
    if layers and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return SharedState(Branch([getattr(layer, "sliding_window", None) for layer in layers]))
    return CopiedState(lambda: DynamicCache(config=net.config)) if _cache_holds_all(net) else RereadState()


@torch.inference_mode()
def _cache_holds_all(net: Any) -> bool:
    """Whether two readings side by side give to the bit what one after the other gives.

    RecurrentGemma for one keeps its state in its modules (transformers 5.23), out of the cache's reach.
    """

    def last(ids: list[int], cache: Cache) -> torch.Tensor:
        read = torch.tensor([ids], device=net.device)
        return net(input_ids=read, use_cache=True, **{cache_argument(net) or "": cache}).logits[0, -1]

    alone, beside, other = (DynamicCache(config=net.config) for _ in range(3))
    last([1, 2], alone)
    expected = last([3], alone)
    last([1, 2], beside)
    last([4, 5, 6], other)
    return torch.equal(last([3], beside), expected)
