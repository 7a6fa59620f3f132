"""Questions put to a model: change one thing in a batch, and see what moves in its logits.

A model is a function here, ids (B, T) to logits (B, T, V) in NumPy, as it answers outside training.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilm.doctor.records import Probes
from minilm.records import Array

__all__ = ["Read", "probe"]

Read = Callable[[Array], Array]


def probe(
    read: Read,
    ids: Array,
    vocab_size: int,
    *,
    step: int = 1,
    padded: Array | None = None,
    reseed: Callable[[], None] = lambda: None,
) -> Probes:
    """What moves when a later id, another row or a padding id is changed, and when nothing is.

    ids (B, T); padded (B, T): where ids is padding; reseed: sets the framework's random numbers back.
    """

    def ask(batch: Array) -> Array:
        reseed()
        return np.asarray(read(batch), np.float64)

    first, again = ask(ids), ask(ids)
    scale = max(1.0, float(np.abs(first).max()))
    repeat = _apart(first, again) / scale
    if repeat > 1e-4:  # a model with a memory answers nothing else reliably
        return Probes(step, repeat=repeat)
    chance = _apart(first, np.asarray(read(ids), np.float64)) / scale
    other = (ids + 1 + ids % 3) % vocab_size
    half = ids.shape[1] // 2
    later = ids.copy()
    later[:, half:] = other[:, half:]
    future = _apart(first[:, :half], ask(later)[:, :half]) / scale if half else 0.0
    crossed = 0.0
    for kept in (
        {0, len(ids) - 1} if len(ids) > 1 else ()
    ):  # a layer may run from row to row in either direction
        alone = np.where(np.arange(len(ids))[:, None] == kept, ids, other)
        crossed = max(crossed, _apart(first[kept], ask(alone)[kept]) / scale)
    padding = 0.0
    if padded is not None and padded.any() and not padded.all():
        changed = ask(np.where(padded, other, ids))
        padding = _apart(first[~padded], changed[~padded]) / scale
    return Probes(step, future, crossed, padding, repeat, chance)


def _apart(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max()) if a.shape == b.shape and a.size else 0.0
