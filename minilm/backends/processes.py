"""Which of several processes this one is, as torchrun tells it; no framework is imported here.

How the processes speak with each other is torch_distributed.py's affair.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from minilm.errors import MinilmError

__all__ = ["LostWorkerError", "Worker", "this_worker"]


class LostWorkerError(MinilmError):
    """Another process of the run is gone; this one's weights stand as after the last whole step."""


@dataclass(frozen=True)
class Worker:
    """One of `size` processes: its rank among all of them, and its place among those of this machine."""

    rank: int = 0
    size: int = 1
    place: int = 0

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes and shows."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Its rows of a batch of so many; none where there are fewer rows than workers.

        >>> [Worker(rank, 3).rows(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


def this_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """The worker of torchrun's RANK, WORLD_SIZE and LOCAL_RANK; without them the only one.

    >>> this_worker({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    Worker(rank=1, size=4, place=1)
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    told = [environment.get(name, usual) for name, usual in zip(names, "010", strict=True)]
    if not all(number.isdecimal() for number in told) or not int(told[0]) < int(told[1]):
        got = ", ".join(f"{name}={number!r}" for name, number in zip(names, told, strict=True))
        raise MinilmError(f"RANK must be a whole number below WORLD_SIZE, got {got}; start with torchrun")
    return Worker(*map(int, told))
