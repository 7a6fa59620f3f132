"""The state of a transformers model as a value: keys and values in growing buffers that many states share.

transformers joins the old and the new rows of a cache into a new tensor at every step. Here a step writes
only its own rows into a buffer, and a state is a buffer and a length: the rows before it never change.
A model whose cache cannot be kept so has one of two other kinds of state, CopiedState or RereadState.
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

__all__ = [
    "CacheBranch",
    "CopiedState",
    "RereadState",
    "SharedState",
    "State",
    "create_empty_state",
    "find_cache_argument",
]

SPARE_ROWS = 64
"""Free rows of a new buffer or of a copy. A full buffer grows by half."""


class _Buffer:
    """The keys and values of one layer, (1, heads, capacity, D). A row is written once and never changed."""

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
            self._pair = _enlarge(old[0], capacity), _enlarge(old[1], capacity)
        for buffer, new in zip(self.rows(start, stop), (keys, values), strict=True):
            buffer.copy_(new)

    def copy(self, length: int) -> _Buffer:
        if not length:
            return _Buffer()
        keys, values = self.rows(0, length)
        return _Buffer((_enlarge(keys, length + SPARE_ROWS), _enlarge(values, length + SPARE_ROWS)))


def _enlarge(rows: torch.Tensor, capacity: int) -> torch.Tensor:
    """Return a new tensor that begins with the rows and has room for `capacity` of them."""
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
        """Write the new rows, and return the keys and values of everything read so far."""
        self.buffer.write(self.length, key_states, value_states)
        self.length += key_states.shape[-2]
        self.keys, self.values = self.buffer.rows(0, self.length)
        self.is_initialized = True
        return self.keys, self.values


class _WindowRows(DynamicSlidingWindowLayer):
    """The cache of a layer that sees only a window of the last rows.

    The buffer keeps all rows, so that a state can go back to an earlier length.
    """

    def __init__(self, buffer: _Buffer, length: int, window: int) -> None:
        super().__init__(sliding_window=window)
        self.buffer, self.cumulative_length = buffer, length
        self.is_initialized = bool(length)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Write the new rows, and return the keys and values that they may see."""
        first = max(0, self.cumulative_length - self.sliding_window + 1)
        self.buffer.write(self.cumulative_length, key_states, value_states)
        self.cumulative_length += key_states.shape[-2]
        self.keys, self.values = self.buffer.rows(first, self.cumulative_length)
        self.is_initialized = True
        return self.keys, self.values


class CacheBranch:
    """The buffers that the states of one line of reading share, and how many rows are taken.

    Args:
        windows: the width of each layer's sliding window, None for a layer without one.
        buffers: each layer's buffer; none makes empty ones.
        length: how many rows are taken.
    """

    def __init__(
        self, windows: Sequence[int | None], buffers: Sequence[_Buffer] = (), length: int = 0
    ) -> None:
        self._windows, self._length, self._lock = windows, length, Lock()
        self._buffers = buffers or [_Buffer() for _ in windows]

    def claim(self, start: int, count: int) -> bool:
        """Take the next `count` rows if those from `start` on are still free; return True if they were.

        Row 0 is never free: every text begins there, so each text gets a branch of its own.
        """
        with self._lock:
            if not start or self._length != start:
                return False
            self._length += count
            return True

    def copy(self, length: int, count: int) -> CacheBranch:
        """Return an independent branch with the first `length` rows, and with `count` more rows taken."""
        return CacheBranch(self._windows, [buffer.copy(length) for buffer in self._buffers], length + count)

    def cache(self, length: int) -> Cache:
        """Return a transformers cache that has read `length` ids and writes into this branch."""
        pairs = zip(self._buffers, self._windows, strict=True)
        return Cache(layers=[_Rows(b, length) if w is None else _WindowRows(b, length, w) for b, w in pairs])


@dataclass(frozen=True, eq=False)
class SharedState:
    """The state after the first `length` ids of a branch, which may have more.

    Attributes:
        branch: the buffers.
        length: how many ids were read.
    """

    branch: CacheBranch = field(repr=False)
    length: int = 0

    def extend(self, ids: list[int]) -> tuple[Cache, list[int], SharedState]:
        """Return a cache, the ids to read into it, and the state after them.

        Where two readings go on from the same place, the second one gets a branch of its own.
        """
        branch, count = self.branch, len(ids)
        if not branch.claim(self.length, count):
            branch = branch.copy(self.length, count)
        return branch.cache(self.length), ids, SharedState(branch, self.length + count)

    def copy_cache(self, ids: list[int]) -> tuple[Cache, list[int]]:
        """Return a copy of the cache and the ids to read into it, for a reading that changes no state."""
        return self.branch.copy(self.length, len(ids)).cache(self.length), ids


@dataclass(frozen=True, eq=False)
class CopiedState:
    """The state after these ids, with a cache of its own that nobody writes into.

    Attributes:
        fresh: makes an empty cache.
        ids: the ids that were read.
        kept: the cache after them; None at the beginning.
    """

    fresh: Callable[[], Cache] = field(repr=False)
    ids: tuple[int, ...] = ()
    kept: Cache | None = field(default=None, repr=False)

    @property
    def length(self) -> int:
        """The number of ids read."""
        return len(self.ids)

    def extend(self, ids: list[int]) -> tuple[Cache, list[int], CopiedState]:
        """Return a cache, the ids to read into it, and the state after them."""
        cache, read = self.copy_cache(ids)
        return cache, read, CopiedState(self.fresh, (*self.ids, *ids), cache)

    def copy_cache(self, ids: list[int]) -> tuple[Cache, list[int]]:
        """Return a copy of the cache for one id; for several ids an empty one, and all ids from the start."""
        # Mamba reads several ids from an empty state, whatever the cache holds (transformers 5.23).
        if self.kept is None or len(ids) > 1:
            return self.fresh(), [*self.ids, *ids]
        return copy.deepcopy(self.kept), ids


@dataclass(frozen=True)
class RereadState:
    """The state after these ids, for a model whose cache cannot be kept: it reads all ids each time.

    Attributes:
        ids: the ids that were read.
    """

    ids: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """The number of ids read."""
        return len(self.ids)

    def extend(self, ids: list[int]) -> tuple[None, list[int], RereadState]:
        """Return no cache, all ids from the start, and the state after them."""
        return None, [*self.ids, *ids], RereadState((*self.ids, *ids))

    def copy_cache(self, ids: list[int]) -> tuple[None, list[int]]:
        """Return no cache, and all ids from the start."""
        return None, [*self.ids, *ids]


State = SharedState | CopiedState | RereadState


def find_cache_argument(net: Any) -> str | None:
    """Return the name of the argument that takes the model's cache; None where there is none."""
    takes = inspect.signature(net.forward).parameters
    return next((name for name in ("past_key_values", "cache", "cache_params") if name in takes), None)


def create_empty_state(net: Any) -> State:
    """Return the state of a transformers model before the first id."""
    if find_cache_argument(net) is None or not net._supports_default_dynamic_cache():
        return RereadState()
    layers = DynamicCache(config=net.config).layers
    if layers and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return SharedState(CacheBranch([getattr(layer, "sliding_window", None) for layer in layers]))
    return CopiedState(lambda: DynamicCache(config=net.config)) if _cache_holds_all(net) else RereadState()


@torch.inference_mode()
def _cache_holds_all(net: Any) -> bool:
    """Return True if a reading gives the same numbers, bit for bit, with another reading in between.

    It does not where a model keeps a part of its state in its own modules, outside the cache, as
    RecurrentGemma does (transformers 5.23).
    """

    def read(ids: list[int], cache: Cache) -> torch.Tensor:
        tokens = torch.tensor([ids], device=net.device)
        return net(input_ids=tokens, use_cache=True, **{find_cache_argument(net) or "": cache}).logits[0, -1]

    undisturbed, disturbed, other = (DynamicCache(config=net.config) for _ in range(3))
    read([1, 2], undisturbed)
    expected = read([3], undisturbed)
    read([1, 2], disturbed)
    read([4, 5, 6], other)
    return torch.equal(read([3], disturbed), expected)
