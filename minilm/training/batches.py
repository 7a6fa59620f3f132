"""Batches: inputs, targets and mask of every step, as a function of seed and step alone.

So a resumed run and every backend train on the same batches. Each row is a window of one document, and the
state of the model is 0 where it begins. A document shorter than the window is one row, padded and masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.protocols import TextCodec
from minilm.records import Array

__all__ = ["Batch", "Batches", "encode_documents", "in_order"]

PAD = 0


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch; the target at position t is the input at position t+1.

    Attributes:
        inputs: ids (B, T).
        targets: ids (B, T).
        mask: 1 where a target counts, 0 in the padding (B, T).
    """

    inputs: Array
    targets: Array
    mask: Array

    __repr__ = one_line

    @property
    def tokens(self) -> int:
        """The number of targets that count."""
        return int(self.mask.sum())


def encode_documents(codec: TextCodec, texts: Sequence[str]) -> list[Array]:
    """Return each text as ids with BOS before and EOS after them: int64 arrays (n,)."""
    bos, eos = codec.special_ids["bos"], codec.special_ids["eos"]
    return [np.array([bos, *codec.encode(text), eos], dtype=np.int64) for text in texts]


@dataclass(frozen=True, eq=False)
class Batches:
    """The batches of some documents, without end: `batch(step)` for any step from 0.

    An epoch has every window of `length` targets once, in a shuffled order. In each epoch the windows begin
    at other offsets.

    Attributes:
        documents: the ids of each document (n,).
        size: rows of a batch, B.
        length: the most targets of a row, T.
        seed: of the order and the offsets.
    """

    documents: Sequence[Array]
    size: int = 32
    length: int = 64
    seed: int = 0
    _epoch: object = field(init=False, repr=False)

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.size < 1 or self.length < 1:
            raise MinilmError(f"Batch and length must be at least 1, got {self.size} and {self.length}")
        if not self.documents or min(len(document) for document in self.documents) < 2:
            raise MinilmError("Every document needs two ids at least, one to read and one to predict")
        object.__setattr__(self, "_epoch", lru_cache(maxsize=2)(self._windows))

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, from 0: (B, T), with T that of its longest row."""
        windows = [self._window(number) for number in range(step * self.size, (step + 1) * self.size)]
        return _padded([self.documents[document][at : at + self.length + 1] for document, at in windows])

    @property
    def steps_per_epoch(self) -> float:
        """The number of steps, not rounded, in which every window is read once."""
        return self._count / self.size

    @property
    def _count(self) -> int:
        return sum(_windows_of(len(document), self.length) for document in self.documents)

    def _window(self, number: int) -> tuple[int, int]:
        epoch, row = divmod(number, self._count)
        return self._epoch(epoch)[row]  # type: ignore[operator]

    def _windows(self, epoch: int) -> Array:
        """Return document and offset of every window of an epoch, shuffled (n, 2)."""
        dice = generator(self.seed, "batches", epoch)
        rows: list[tuple[int, int]] = []
        for number, document in enumerate(self.documents):
            count = _windows_of(len(document), self.length)
            slack = max(len(document) - 1 - count * self.length, 0)
            first = int(dice.integers(slack + 1))
            rows += [(number, first + self.length * window) for window in range(count)]
        return dice.permutation(np.array(rows))


def in_order(documents: Sequence[Array], size: int, length: int) -> Iterator[Batch]:
    """Yield every target of the documents once, in order, for a validation.

    Args:
        documents: the ids of each document (n,).
        size: rows of a batch.
        length: the most targets of a row.
    """
    rows = [
        document[at : at + length + 1] for document in documents for at in range(0, len(document) - 1, length)
    ]
    for first in range(0, len(rows), size):
        yield _padded(rows[first : first + size])


def _windows_of(ids: int, length: int) -> int:
    return max((ids - 1) // length, 1)


def _padded(rows: Sequence[Array]) -> Batch:
    """Return rows of n+1 ids as one batch, padded to the longest.

    >>> _padded([np.array([2, 7, 8, 3]), np.array([2, 3])]).inputs.tolist()
    [[2, 7, 8], [2, 0, 0]]
    """
    longest = max(len(row) for row in rows) - 1
    inputs = np.full((len(rows), longest), PAD, dtype=np.int64)
    targets, mask = inputs.copy(), np.zeros((len(rows), longest), dtype=np.float32)
    for number, row in enumerate(rows):
        kept = len(row) - 1
        inputs[number, :kept], targets[number, :kept], mask[number, :kept] = row[:-1], row[1:], 1
    return Batch(inputs, targets, mask)
