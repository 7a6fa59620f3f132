"""From a batch, the model's outputs and the gradient at them to what the loop really trains on.

The gradient of a cross entropy at the logits is (p - 1[target]) x weight, so it names every target and how
much it counts, whatever the loop's loss is called. Knows no framework and judges nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from minilm.backends.numpy.layer import Layer, forward_through_time
from minilm.doctor.records import Look
from minilm.inside.gates import find_stuck_shares
from minilm.numerics import log_softmax
from minilm.records import Array, frozen_array

__all__ = ["batch_digest", "continuing", "is_close", "look_at", "moved_rows", "saturation"]

CLOSE, EVERY = 3, 25  # the first steps, and then every 25th, are looked at closely

ROWS = 2  # of a batch, whose gates are recomputed


def is_close(step: int) -> bool:
    """Whether a step, from 1, is looked at closely: a close look costs a softmax of the batch.

    >>> [step for step in range(1, 60) if is_close(step)]
    [1, 2, 3, 25, 50]
    """
    return step <= CLOSE or step % EVERY == 0


def batch_digest(ids: Array) -> str:
    """Twelve hexadecimal digits that tell one batch of ids from another."""
    return hashlib.blake2b(np.ascontiguousarray(ids).tobytes(), digest_size=6).hexdigest()


def continuing(before: Look | None, ids: Array) -> float | None:
    """Share of the rows of ids (B, T) that go on at the last targets of the look before; None: unknown."""
    if before is None:
        return None
    rows = ids.T if before.time_first else ids
    return float((before.targets[:, -1] == rows[:, 0]).mean()) if len(before.targets) == len(rows) else None


def look_at(ids: Array, outputs: Array, gradient: Array, loss: float, **more: Any) -> Look:
    """A close look; ids (B, T), outputs (B, T, V) and the loss's gradient at them, of the same shape.

    A loop may have time first: where the targets follow down the columns, all is turned round.
    """
    outputs, gradient = outputs.astype(np.float64), gradient.astype(np.float64)
    time_first = _follow(ids.T, gradient.argmin(-1).T) and not _follow(ids, gradient.argmin(-1))
    if time_first:
        ids, outputs, gradient = ids.T, outputs.swapaxes(0, 1), gradient.swapaxes(0, 1)
    size = np.abs(gradient).sum(-1)
    counted = size > 1e-9 * max(float(size.max()), 1e-30)
    targets = np.where(counted, gradient.argmin(-1), -1)
    sums = {
        "vocabulary": _from_one(outputs, -1),
        "time": _from_one(outputs, 1),
        "batch": _from_one(outputs, 0),
    }
    kind = "logits"
    if sums["vocabulary"] < 1e-3:
        kind = "probabilities" if outputs.min() >= 0 else "log-probabilities"
    weights, losses = _softmax_terms(outputs, gradient, targets)
    explained = bool(np.isclose((weights * losses).sum(), loss, rtol=1e-3))
    twice = kind == "probabilities" and explained
    if kind == "probabilities" and not twice:
        losses = -np.log(np.maximum(_at(outputs, targets), 1e-30))
        weights = -_at(gradient, targets) * _at(outputs, targets)
    slope = float(np.abs(gradient.sum(-1)).sum() / max(size.sum(), 1e-30))
    return Look(
        frozen_array(ids), frozen_array(targets), frozen_array(weights * counted),
        frozen_array(losses * counted),
        kind, twice, sums, slope if kind == "logits" and not explained else 0.0,
        time_first=time_first, **more,
    )  # fmt: skip


def _follow(ids: Array, targets: Array) -> bool:
    """Whether most targets (B, T) are the next id of their row."""
    return ids.shape[1] > 1 and float((targets[:, :-1] == ids[:, 1:]).mean()) > 0.5


def _softmax_terms(outputs: Array, gradient: Array, targets: Array) -> tuple[Array, Array]:
    """Weight and loss of every target (B, T), if the loss is a cross entropy of these outputs as logits."""
    chosen = _at(log_softmax(outputs), targets)
    return -_at(gradient, targets) / np.maximum(-np.expm1(chosen), 1e-12), -chosen


def _at(values: Array, targets: Array) -> Array:
    return np.take_along_axis(values, np.maximum(targets, 0)[..., None], -1)[..., 0]


def _from_one(outputs: Array, axis: int) -> float:
    """How far the outputs, or their exponentials, are from summing to 1 along an axis of 2 or more."""
    if outputs.shape[axis] < 2:
        return 1.0
    plain = float(np.abs(outputs.sum(axis) - 1).max()) if outputs.min() >= 0 else 1.0
    if outputs.max() > 1e-6:
        return min(plain, 1.0)
    return min(plain, float(np.abs(np.exp(outputs).sum(axis) - 1).max()), 1.0)


def moved_rows(ids: Array, before: Array, after: Array) -> tuple[tuple[int, int, float], ...]:
    """(id, how often it stands in ids, largest change in its row of the embedding (V, E)) of each id."""
    present, counts = np.unique(ids[(ids >= 0) & (ids < len(before))], return_counts=True)
    most = np.abs(after[present].astype(np.float64) - before[present]).max(-1)
    return tuple((int(i), int(n), float(m)) for i, n, m in zip(present, counts, most, strict=True))


def saturation(ids: Array, weights: Mapping[str, Array]) -> dict[str, float]:
    """Return, for each LSTM gate i, f, g, o, the share of its values that are stuck at an end of its range.

    Args:
        ids: (B, T), of which two rows are read.
        weights: embedding (V, E), kernel (E, 4H), recurrent (H, 4H) and bias (4H,), the gates in the order
            i, f, g, o.
    """
    inputs = weights["embedding"][ids[:ROWS]].astype(np.float64).swapaxes(0, 1)  # (T, B, E)
    layer = Layer(weights["kernel"], weights["recurrent"], weights["bias"])
    zeros = np.zeros((inputs.shape[1], layer.recurrent.shape[0]))  # (B, H)
    return find_stuck_shares(forward_through_time(layer, inputs, zeros, zeros).gates)
