"""Snapshots of a training, in memory or in a folder, as many as a budget of bytes allows.

A snapshot is found by its step and by the changes that led to it. Files are whole or absent, and their
digests are checked when they are read. A damaged one is skipped, because the snapshot before it serves too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from minilm.atomic import write_file
from minilm.errors import MinilmError
from minilm.records import Array
from minilm.storage.arrays import arrays_from_bytes, arrays_to_bytes
from minilm.training.batches import Batch
from minilm.training.timeline.plan import Change, OtherBatch

__all__ = ["BUDGET", "Snapshots"]

BUDGET = 290_000_000
"""Bytes that all snapshots together may take."""

# The fewest steps between two snapshots: nearer ones would cost more time than a replay.
CLOSEST = 8

Key = tuple[tuple[Change, ...], int]


class Snapshots:
    """The snapshots of one training, and the rule when to keep more.

    Attributes:
        every: steps between two snapshots. When the budget is used up it doubles, and every second snapshot
            is dropped.
        damaged: a line for each snapshot that could not be read.
    """

    def __init__(self, size: int, steps: int, folder: str | Path | None = None, budget: int = BUDGET) -> None:
        """Start without a snapshot.

        Args:
            size: bytes of one snapshot.
            steps: steps of the whole training.
            folder: where the files go; None keeps snapshots in memory.
            budget: bytes that all snapshots together may take.
        """
        if budget < 2 * size:
            raise MinilmError(f"Snapshots of {size} bytes need a budget for two at least, got {budget}")
        self.every = max(CLOSEST, math.ceil(steps * size / (budget - size)))
        self.damaged: list[str] = []
        self._size, self._budget = size, budget
        self._folder = None if folder is None else Path(folder)
        # None instead of arrays: they are in the file.
        self._kept: dict[Key, Mapping[str, Array] | None] = {}

    @property
    def recent(self) -> int:
        """Return how many more places may be kept in memory, in a quarter of the budget: at most `every`."""
        return max(1, min(self.every, self._budget // (4 * self._size)))

    def wants(self, step: int) -> bool:
        """Return True where a snapshot should be kept of this step."""
        return step % self.every == 0

    def keep(self, history: tuple[Change, ...], step: int, arrays: Mapping[str, Array]) -> None:
        """Keep a snapshot.

        Args:
            history: the changes that led to it.
            step: updates made.
            arrays: what `nearest` gives back.

        Raises:
            MinilmError: the disk refuses; earlier snapshots stay.
        """
        key = (history, step)
        if key in self._kept:
            return
        while (len(self._kept) + 1) * self._size > self._budget:
            self._thin()
        path = self._path(key)
        if path is not None:
            _write(path, arrays_to_bytes(arrays))
        self._kept[key] = dict(arrays) if path is None else None

    def nearest(self, histories: Sequence[tuple[Change, ...]]) -> tuple[int, Mapping[str, Array]]:
        """Return the newest snapshot with one of these histories, as (step, arrays).

        Args:
            histories: histories[step] are the changes in the first `step` updates, for each step from 0.
        """
        for step in reversed(range(len(histories))):
            key = (histories[step], step)
            if self._is_kept(key):
                try:
                    return step, self._read(key)
                except MinilmError as error:
                    self.damaged.append(str(error))
                    self._kept.pop(key, None)
        raise MinilmError("No snapshot of this training can be read; start it anew")

    def steps(self, history: tuple[Change, ...] = ()) -> list[int]:
        """Return the steps of which there is a snapshot with this history, in order."""
        return sorted(step for kept, step in self._kept if kept == history)

    def __len__(self) -> int:
        return len(self._kept)

    def _thin(self) -> None:
        """Drop every second snapshot, but not the first one."""
        self.every *= 2
        start = min(self.steps(), default=0)
        for key in [key for key in self._kept if key[1] % self.every and key[1] > start]:
            path, arrays = self._path(key), self._kept.pop(key)
            if path is not None and arrays is None:
                path.unlink(missing_ok=True)

    def _is_kept(self, key: Key) -> bool:
        if key in self._kept:
            return True
        path = self._path(key) if self.wants(key[1]) else None
        return path is not None and path.exists()

    def _path(self, key: Key) -> Path | None:
        """Return the file of a snapshot; None without a folder, or after a batch of the user's own."""
        own = any(isinstance(change, OtherBatch) and isinstance(change.batch, Batch) for change in key[0])
        if self._folder is None or own:
            return None
        digest = hashlib.blake2b(repr(key[0]).encode(), digest_size=4).hexdigest()
        return self._folder / f"{digest if key[0] else 'trunk'}-{key[1]:08d}.safetensors"

    def _read(self, key: Key) -> Mapping[str, Array]:
        arrays = self._kept.get(key)
        if arrays is not None:
            return arrays
        path = self._path(key)
        if path is None:
            raise MinilmError(f"Snapshot of step {key[1]} is gone")
        try:
            return arrays_from_bytes(path.read_bytes(), str(path))
        except OSError as error:
            raise MinilmError(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        write_file(path, data)
    except OSError as error:
        reason = error.strerror or error
        raise MinilmError(f"Snapshot {path} cannot be written: {reason}; those before it are whole") from None
