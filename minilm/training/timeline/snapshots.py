"""Snapshots of a training, spaced to a budget of bytes, in memory or in a folder.

A snapshot is found by the history of changes that led to it and its step. Files are whole or absent, and
their digests are checked when they are read; one that is damaged is passed over, for another is before it.
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

BUDGET = 290_000_000  # bytes that all snapshots together may take

CLOSEST = 8  # steps between two snapshots at least: nearer ones would cost more than a replay

Key = tuple[tuple[Change, ...], int]


class Snapshots:
    """What has been kept of one training, and when to keep more.

    every: steps between two snapshots; it doubles, and every second one goes, when the budget is used up.
    """

    def __init__(self, size: int, steps: int, folder: str | Path | None = None, budget: int = BUDGET) -> None:
        """size: bytes of one snapshot; steps: of the whole training."""
        if budget < 2 * size:
            raise MinilmError(f"Snapshots of {size} bytes need a budget for two at least, got {budget}")
        self.every = max(CLOSEST, math.ceil(steps * size / (budget - size)))
        self.damaged: list[str] = []
        self._size, self._budget = size, budget
        self._folder = None if folder is None else Path(folder)
        self._held: dict[Key, Mapping[str, Array] | None] = {}  # None: it is in its file

    @property
    def recent(self) -> int:
        """How many places may be kept in memory besides: those between two snapshots, in a quarter more."""
        return max(1, min(self.every, self._budget // (4 * self._size)))

    def wants(self, step: int) -> bool:
        """Whether a snapshot belongs at this step."""
        return step % self.every == 0

    def keep(self, history: tuple[Change, ...], step: int, arrays: Mapping[str, Array]) -> None:
        """Keep a snapshot. Raises MinilmError where the disk refuses; those before it stay."""
        key = (history, step)
        if key in self._held:
            return
        while (len(self._held) + 1) * self._size > self._budget:
            self._thin()
        path = self._path(key)
        if path is not None:
            _write(path, arrays_to_bytes(arrays))
        self._held[key] = dict(arrays) if path is None else None

    def nearest(self, histories: Sequence[tuple[Change, ...]]) -> tuple[int, Mapping[str, Array]]:
        """The newest snapshot among those of histories[step], for each step from 0: (step, arrays)."""
        for step in reversed(range(len(histories))):
            key = (histories[step], step)
            if self._is_held(key):
                try:
                    return step, self._read(key)
                except MinilmError as error:
                    self.damaged.append(str(error))
                    self._held.pop(key, None)
        raise MinilmError("No snapshot of this training can be read; start it anew")

    def steps(self, history: tuple[Change, ...] = ()) -> list[int]:
        """The steps that snapshots of a history are held of."""
        return sorted(step for held, step in self._held if held == history)

    def __len__(self) -> int:
        return len(self._held)

    def _thin(self) -> None:
        """Drop every second snapshot; that of the start stays."""
        self.every *= 2
        start = min(self.steps(), default=0)
        for key in [key for key in self._held if key[1] % self.every and key[1] > start]:
            path, held = self._path(key), self._held.pop(key)
            if path is not None and held is None:
                path.unlink(missing_ok=True)

    def _is_held(self, key: Key) -> bool:
        if key in self._held:
            return True
        path = self._path(key) if self.wants(key[1]) else None
        return path is not None and path.exists()

    def _path(self, key: Key) -> Path | None:
        """The file of a snapshot; None where there is no folder, or a batch of one's own led to it."""
        own = any(isinstance(change, OtherBatch) and isinstance(change.batch, Batch) for change in key[0])
        if self._folder is None or own:
            return None
        digest = hashlib.blake2b(repr(key[0]).encode(), digest_size=4).hexdigest()
        return self._folder / f"{digest if key[0] else 'trunk'}-{key[1]:08d}.safetensors"

    def _read(self, key: Key) -> Mapping[str, Array]:
        held = self._held.get(key)
        if held is not None:
            return held
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
