"""What a transformers model has read, as a value: old states stay usable, only branching allocates.

A state of an attention model is (a branch, a length): an older one is a shorter view of the branch's
buffers (huggingface_buffers.py). Recurrent caches cannot be cut back and are copied; where there is no cache
at all, the ids are kept and read again.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from minilm.backends.huggingface_buffers import Branch

__all__ = ["CopiedState", "RereadState", "SharedState", "State", "cache_argument", "empty_state"]


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
