"""Which of several processes this one is, as torchrun says. The file imports no framework.

How the processes talk to each other is written in torch/distributed.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from minilm.errors import MinilmError

__all__ = ["LostWorkerError", "Worker", "this_worker"]


class LostWorkerError(MinilmError):
    """Another process of the run is gone. This one's weights are those after the last complete step."""


@dataclass(frozen=True)
class Worker:
    """One of the processes of a run.

    Attributes:
        rank: its number among all processes, from 0.
        size: how many processes there are.
        place: its number among the processes of this machine, from 0; it chooses the GPU.
    """

    rank: int = 0
    size: int = 1
    place: int = 0

    @property
    def leads(self) -> bool:
        """True for the one worker that writes files and shows output."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return its rows of a batch of `count` rows; none where there are fewer rows than workers.

        >>> [Worker(rank, 3).rows(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)


def this_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """Return the worker that torchrun's variables RANK, WORLD_SIZE and LOCAL_RANK name.

    Without these variables it is the only one.

    >>> this_worker({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    Worker(rank=1, size=4, place=1)
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    values = [environment.get(name, usual) for name, usual in zip(names, "010", strict=True)]
    if not all(value.isdecimal() for value in values) or not int(values[0]) < int(values[1]):
        got = ", ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=True))
        raise MinilmError(f"RANK must be a whole number below WORLD_SIZE, got {got}; start with torchrun")
    return Worker(*map(int, values))
