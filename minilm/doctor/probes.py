"""Questions to a model: change one thing in a batch, and measure which of its logits change.

Here a model is a function from ids (B, T) to logits (B, T, V) in NumPy, in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilm.difference import largest_difference
from minilm.doctor.records import Probes
from minilm.records import Array

__all__ = ["ROUNDING", "ReadLogits", "probe"]

ReadLogits = Callable[[Array], Array]

# A difference above this share of the largest logit is more than rounding.
ROUNDING = 1e-4


def probe(
    read: ReadLogits,
    ids: Array,
    vocab_size: int,
    *,
    step: int = 1,
    padded: Array | None = None,
    reseed: Callable[[], None] = lambda: None,
    rounding: float = ROUNDING,
) -> Probes:
    """Return how far logits change when later ids, other rows, the padding or nothing is changed.

    A model that answers differently when it reads the same batch twice has a memory; then only `repeat` is
    measured, because its other answers mean nothing.

    Args:
        read: The model.
        ids: (B, T), a batch.
        vocab_size: V.
        step: The training step after which the model is probed.
        padded: (B, T) of bool, True where ids is padding; None where it has none.
        reseed: Resets the framework's random numbers, so that two readings draw the same ones.
        rounding: The largest change that is still rounding; such a change is returned as 0.
    """
    padded = np.zeros(ids.shape, bool) if padded is None else padded

    def read_reseeded(batch: Array) -> Array:
        reseed()
        return np.asarray(read(batch), np.float64)

    first, again = read_reseeded(ids), read_reseeded(ids)
    scale = max(1.0, float(np.abs(first).max()))

    def as_share(change: float) -> float:
        share = change / scale
        return share if share > rounding else 0.0

    repeat = as_share(_change(first, again))
    if repeat:
        return Probes(step, repeat=repeat)
    # Read once more without resetting the random numbers.
    chance = as_share(_change(first, np.asarray(read(ids), np.float64)))
    other_ids = _choose_other_ids(ids, padded, vocab_size)
    answers_each_id = first.shape[:2] == ids.shape
    padding = future = 0.0
    if answers_each_id and padded.any() and not padded.all():
        changed = read_reseeded(np.where(padded, (ids + 1) % vocab_size, ids))
        padding = _change(first[~padded], changed[~padded])
    if answers_each_id:
        future = _future_change(read_reseeded, ids, other_ids, first)
    return Probes(
        step,
        future=as_share(future),
        rows=as_share(_row_change(read_reseeded, ids, other_ids, first)),
        padding=as_share(padding),
        repeat=repeat,
        chance=chance,
        blind_to_future=not answers_each_id,
    )


def _choose_other_ids(ids: Array, padded: Array, vocab_size: int) -> Array:
    """Return a batch (B, T) in which every id is another one of the batch; padding stays where it is.

    A net may compute masks and lengths from its padding, so no padding may come or go.
    """
    present = np.unique(ids[~padded])
    if len(present) < 2:
        return np.where(padded, ids, (ids + 1 + ids % 3) % vocab_size)
    places = np.searchsorted(present, np.where(padded, present[0], ids))
    return np.where(padded, ids, present[(places + 1 + places % 3) % len(present)])


def _future_change(read: ReadLogits, ids: Array, other_ids: Array, logits: Array) -> float:
    """Return how far the first half's logits change when the second half's ids are replaced."""
    half = ids.shape[1] // 2
    later = ids.copy()
    later[:, half:] = other_ids[:, half:]
    return _change(logits[:, :half], read(later)[:, :half]) if half else 0.0


def _row_change(read: ReadLogits, ids: Array, other_ids: Array, logits: Array) -> float:
    """Return how far one row's logits change when all other rows are replaced.

    The first and the last row are tried, because a layer may run from row to row in either direction.
    """
    change = 0.0
    for row in {0, len(ids) - 1} if len(ids) > 1 else ():
        alone = np.where(np.arange(len(ids))[:, None] == row, ids, other_ids)
        change = max(change, _change(logits[row], read(alone)[row]))
    return change


def _change(before: Array, after: Array) -> float:
    return largest_difference(after, before) if before.shape == after.shape else 0.0
