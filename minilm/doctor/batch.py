"""The data that a loop really trains on, computed from the gradient at the outputs: targets, weights, losses.

For a cross entropy, the gradient at the logits of one position is

    d loss / d logits = (p - onehot(target)) * weight        p = softmax(logits)

Only the target's entry is negative. So the gradient shows every target and how much it counts, whatever the
loop's loss is called. This file knows no framework, and the verdicts are in checks/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minilm.backends.numpy.layer import Layer, forward_through_time
from minilm.doctor.records import StepDetails
from minilm.inside.gates import find_stuck_shares
from minilm.numerics import log_softmax
from minilm.records import Array, frozen_array

__all__ = [
    "LossCall",
    "digest_batch",
    "has_details",
    "measure_embedding_changes",
    "measure_saturation",
    "measure_step",
    "name_kind",
    "share_continued",
    "without_outputs",
]

# Steps that get details: the first 3, and then every 25th.
FIRST_STEPS, EVERY = 3, 25

# The axes of a model's outputs (B, T, V).
AXES = {"vocabulary": -1, "time": 1, "batch": 0}

# Rows of a batch that the LSTM's gates are computed for.
ROWS = 2


def has_details(step: int) -> bool:
    """Return True where a step is measured closely, which costs a softmax of the batch.

    >>> [step for step in range(1, 60) if has_details(step)]
    [1, 2, 3, 25, 50]
    """
    return step <= FIRST_STEPS or step % EVERY == 0


def digest_batch(ids: Array) -> str:
    """Return twelve hexadecimal digits that tell one batch of ids from another."""
    return hashlib.blake2b(np.ascontiguousarray(ids).tobytes(), digest_size=6).hexdigest()


def share_continued(previous: StepDetails | None, ids: Array) -> float | None:
    """Return the share of rows that go on where the last batch ended; None where that is unknown.

    Args:
        previous: The details of the last step; None where it has none.
        ids: (B, T) or (T, B), as the loop has them.
    """
    if previous is None:
        return None
    rows = ids.T if previous.time_first else ids
    if previous.targets.shape[1:] in ((0,), (1,)) or rows.ndim != 2:
        return None
    if len(previous.targets) != len(rows):
        return None
    return float((previous.targets[:, -1] == rows[:, 0]).mean())


class LossCall(NamedTuple):
    """What a loop hands to its loss function.

    Attributes:
        takes: What the loss function expects: "logits", "log-probabilities" or "probabilities".
        gets: What it was given, in the same words.
        targets: The targets, of any shape; None where they are no ids.
    """

    takes: str = ""
    gets: str = ""
    targets: Array | None = None


def measure_step(
    ids: Array,
    outputs: Array,
    gradient: Array,
    loss: float,
    call: LossCall | None = None,
    precision: float = 1e-3,
    **measured: Any,
) -> StepDetails:
    """Return the details of a step. Arrays of a loop that has time first are swapped to (B, T).

    Args:
        ids: (B, T), what the model read.
        outputs: (B, T, V), what it answered: logits, probabilities or log-probabilities.
        gradient: (B, T, V), the gradient of the loss at the outputs.
        loss: The loss of the step.
        call: What the loss function was given; None where its call was not seen.
        precision: The relative error of the loss; larger than float32's for a loop in half precision.
        measured: Other fields of StepDetails that the caller has measured.
    """
    call = call or LossCall()
    outputs, gradient = outputs.astype(np.float64), gradient.astype(np.float64)
    mixed = gradient.reshape(gradient.shape[0], gradient.shape[2], gradient.shape[1])
    time_first = _is_next_id(ids.T, gradient.argmin(-1).T) and not _is_next_id(ids, gradient.argmin(-1))
    if time_first:
        ids, outputs, gradient = ids.T, outputs.swapaxes(0, 1), gradient.swapaxes(0, 1)
    size = np.abs(gradient).sum(-1)  # (B, T)
    # A position without a gradient is not in the loss.
    counts = size > 1e-9 * max(float(size.max()), 1e-30)
    named = _named_targets(gradient, call.targets, time_first)
    targets = np.where(counts, gradient.argmin(-1) if named is None else named, -1)
    sums = {name: _distance_to_sum_of_1(outputs, axis) for name, axis in AXES.items()}
    kind = "logits"
    if sums["vocabulary"] < max(precision, 1e-3):
        kind = "probabilities" if outputs.min() >= 0 else "log-probabilities"
    weights, losses = _weights_and_losses(outputs, gradient, targets)
    is_cross_entropy = explained = bool(np.isclose((weights * losses).sum(), loss, rtol=precision))
    twice = kind == "probabilities" and is_cross_entropy
    if kind == "probabilities" and not twice:
        # For loss = -weight * ln(p[target]) the gradient at p[target] is -weight / p[target].
        p_target = _pick(outputs, targets)
        losses = -np.log(np.maximum(p_target, 1e-30))
        weights = -_pick(gradient, targets) * p_target
        explained = bool(np.isclose((weights * losses).sum(), loss, rtol=precision))
    if kind == "log-probabilities" and not is_cross_entropy:
        # For loss = -weight * log_p[target] the gradient at log_p[target] is -weight.
        losses, weights = -_pick(outputs, targets), -_pick(gradient, targets)
        explained = bool(np.isclose((weights * losses).sum(), loss, rtol=precision))
    # A softmax is unchanged if all its logits grow by the same amount, so its gradients sum to 0.
    slope = float(np.abs(gradient.sum(-1)).sum() / max(size.sum(), 1e-30))
    return StepDetails(
        ids=frozen_array(ids),
        targets=frozen_array(targets),
        weights=frozen_array(weights * counts),
        losses=frozen_array(losses * counts),
        kind=kind,
        twice=twice,
        sums=sums,
        slope=slope if kind == "logits" and not is_cross_entropy else 0.0,
        time_first=time_first,
        takes=call.takes,
        gets=call.gets,
        reshaped=float(np.abs(mixed.sum(1)).sum() / max(size.sum(), 1e-30)),
        explained=explained or named is not None,
        **measured,
    )


def without_outputs(**measured: Any) -> StepDetails:
    """Return the details of a step whose outputs could not be read: its updates and sizes alone."""
    empty = np.zeros((0, 0))
    ids = frozen_array(empty, np.int64)
    return StepDetails(ids, ids, frozen_array(empty), frozen_array(empty), explained=False, **measured)


def name_kind(outputs: Array, axis: int = -1) -> str:
    """Return "probabilities", "log-probabilities" or "logits".

    >>> name_kind(np.array([[0.25, 0.75]])), name_kind(np.array([[2.0, -1.0]]))
    ('probabilities', 'logits')
    """
    if _distance_to_sum_of_1(outputs, axis) > 1e-2:
        return "logits"
    return "probabilities" if outputs.min() >= 0 else "log-probabilities"


def _named_targets(gradient: Array, named: Array | None, time_first: bool) -> Array | None:
    """Return the loss function's own targets (B, T); None where they are unknown or do not fit the gradients.

    With label smoothing the smallest gradient of a well-learned position need not be the target's.
    """
    lowest = gradient.argmin(-1)
    if named is None or named.size != lowest.size:
        return None
    given = named.reshape(lowest.T.shape).T if time_first else named.reshape(lowest.shape)
    is_id = (given >= 0) & (given < gradient.shape[-1])
    if not is_id.any() or (given == lowest)[is_id].mean() < 0.5:
        return None
    return np.where(is_id, given, lowest)


def _is_next_id(ids: Array, targets: Array) -> bool:
    """Return True where most targets (B, T) are the next id of their row."""
    return ids.shape[1] > 1 and float((targets[:, :-1] == ids[:, 1:]).mean()) > 0.5


def _weights_and_losses(outputs: Array, gradient: Array, targets: Array) -> tuple[Array, Array]:
    """Return weight and loss (B, T) of every target, as if the loss were a cross entropy of logits.

    The gradient at the target's logit is -(1 - p[target]) * weight, so weight = -gradient / (1 - p[target]).
    """
    logp_target = _pick(log_softmax(outputs), targets)
    # 1 - p = -expm1(ln p), which keeps its digits where p is near 1.
    return -_pick(gradient, targets) / np.maximum(-np.expm1(logp_target), 1e-12), -logp_target


def _pick(values: Array, targets: Array) -> Array:
    """Return from values (B, T, V) the entry of each target, (B, T)."""
    return np.take_along_axis(values, np.maximum(targets, 0)[..., None], -1)[..., 0]


def _distance_to_sum_of_1(outputs: Array, axis: int) -> float:
    """Return how far the outputs, or their exponentials, are from summing to 1 along an axis; at most 1."""
    if outputs.shape[axis] < 2:
        return 1.0
    plain = float(np.abs(outputs.sum(axis) - 1).max()) if outputs.min() >= 0 else 1.0
    if outputs.max() > 1e-6:
        return min(plain, 1.0)
    return min(plain, float(np.abs(np.exp(outputs).sum(axis) - 1).max()), 1.0)


def measure_embedding_changes(ids: Array, before: Array, after: Array) -> tuple[tuple[int, int, float], ...]:
    """Return for each id of a batch (id, how often it occurs, largest change in its embedding).

    Args:
        ids: (B, T).
        before: (V, E), the embedding before the update.
        after: (V, E), the embedding after it.
    """
    present, counts = np.unique(ids[(ids >= 0) & (ids < len(before))], return_counts=True)
    changes = np.abs(after[present].astype(np.float64) - before[present]).max(-1)
    return tuple(
        (int(i), int(n), float(change)) for i, n, change in zip(present, counts, changes, strict=True)
    )


def measure_saturation(ids: Array, weights: Mapping[str, Array]) -> dict[str, float]:
    """Return for each LSTM gate i, f, g, o the share of its values that are stuck at an end of its range.

    Args:
        ids: (B, T); the first two rows are read, from a zero state.
        weights: embedding (V, E), kernel (E, 4H), recurrent (H, 4H) and bias (4H,), gates in the order
            i, f, g, o.
    """
    inputs = weights["embedding"][ids[:ROWS]].astype(np.float64).swapaxes(0, 1)  # (T, B, E)
    layer = Layer(weights["kernel"], weights["recurrent"], weights["bias"])
    zeros = np.zeros((inputs.shape[1], layer.recurrent.shape[0]))  # (B, H)
    return find_stuck_shares(forward_through_time(layer, inputs, zeros, zeros).gates)
