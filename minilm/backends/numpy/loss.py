"""Cross entropy over a vocabulary, and the sum that an embedding's gradient is: the two ends of the net."""

from __future__ import annotations

import numpy as np

from minilm.records import Array

__all__ = ["cross_entropy", "sum_by_id"]


def cross_entropy(kernel: Array, bias: Array, top: Array, targets: Array) -> tuple[Array, Array]:
    """Losses (T, B) of hidden states (T, B, H), and the probabilities (T·B, V) that the gradient starts from.

    The logits, the powers and the probabilities share one array: it is the largest of a training step.
    """
    logits = top.reshape(-1, top.shape[-1]) @ kernel
    logits += bias
    logits -= logits.max(axis=-1, keepdims=True)
    wanted = logits[np.arange(targets.size), targets.ravel()]
    powers = np.exp(logits, out=logits)
    total = powers.sum(axis=-1)
    losses = np.log(total) - wanted
    powers /= total[:, None]
    return losses.reshape(targets.shape), powers


def sum_by_id(ids: Array, rows: Array, vocab_size: int) -> Array:
    """Sum rows (T, B, E) into a table (V, E): an id that occurs k times gets k rows added up.

    >>> sum_by_id(np.array([[2], [2]]), np.ones((2, 1, 1)), 3).ravel().tolist()
    [0.0, 0.0, 2.0]
    """
    order = np.argsort(ids, axis=None, kind="stable")
    found, starts = np.unique(ids.ravel()[order], return_index=True)
    table = np.zeros((vocab_size, rows.shape[-1]), rows.dtype)
    table[found] = np.add.reduceat(rows.reshape(-1, rows.shape[-1])[order], starts, axis=0)
    return table
