"""The two ends of the network: the head with its softmax cross-entropy loss, and the embedding's gradient.

Map of this file:

    compute_logits             logits = h W + b
    softmax_cross_entropy      p = softmax(logits), loss = -ln p[target]
    logits_gradient            dL/dlogits = (p - onehot(target)) * weight
    head_gradients             dL/dW, dL/db, and dL/dh for the layer below
    sum_by_id                  dL/dE of the embedding table E

Letters: B rows, T steps, V vocabulary, E embedding, H hidden. The logits, the probabilities and dL/dlogits
are one array (T·B, V), overwritten from line to line: it is the largest array of a training step.
"""

from __future__ import annotations

import numpy as np

from minilm.records import Array

__all__ = ["compute_logits", "head_gradients", "logits_gradient", "softmax_cross_entropy", "sum_by_id"]


def compute_logits(kernel: Array, bias: Array, hidden: Array) -> Array:
    """Return the logits (T·B, V) of hidden states (T, B, H); kernel is W (H, V), bias is b (V,)."""
    # logits = h W + b
    logits = hidden.reshape(-1, hidden.shape[-1]) @ kernel
    logits += bias
    return logits


def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return the loss of every target and the probabilities of every token.

    >>> losses, probabilities = softmax_cross_entropy(np.log([[1.0, 3.0]]), np.array([[1]]))
    >>> losses.round(4).tolist(), probabilities.round(4).tolist()
    ([[0.2877]], [[0.25, 0.75]])

    Args:
        logits: (T·B, V); overwritten by the probabilities.
        targets: ids (T, B).

    Returns:
        Losses (T, B) in nats, and probabilities (T·B, V).
    """
    # Softmax does not change when every logit falls by the same number; so the largest becomes 0 and
    # no power overflows.
    logits -= logits.max(axis=-1, keepdims=True)
    target_logits = logits[np.arange(targets.size), targets.ravel()]
    # Z = sum over the vocabulary of e^logit
    powers = np.exp(logits, out=logits)
    total = powers.sum(axis=-1)
    # loss = -ln p[target] = ln Z - logit[target]
    losses = np.log(total) - target_logits
    # p = e^logit / Z
    powers /= total[:, None]
    return losses.reshape(targets.shape), powers


def logits_gradient(probabilities: Array, targets: Array, weights: Array) -> Array:
    """Return dL/dlogits (T·B, V) of L = the weighted sum of the losses.

    Args:
        probabilities: p (T·B, V); overwritten by the result.
        targets: ids (T, B).
        weights: what each loss counts in L (T, B): the mask divided by the number of targets.
    """
    # dL/dlogits = (p - onehot(target)) * weight
    probabilities[np.arange(targets.size), targets.ravel()] -= 1
    probabilities *= weights.reshape(-1, 1)
    return probabilities


def head_gradients(kernel: Array, hidden: Array, d_logits: Array) -> tuple[Array, Array, Array]:
    """Return dL/dh (T, B, H), dL/dW (H, V) and dL/db (V,) of the head.

    Args:
        kernel: W (H, V).
        hidden: what the head read, h (T, B, H).
        d_logits: dL/dlogits (T·B, V).
    """
    # dL/dW = h^T dL/dlogits
    d_kernel = hidden.reshape(len(d_logits), -1).T @ d_logits
    # dL/db = sum over steps and rows of dL/dlogits
    d_bias = d_logits.sum(axis=0)
    # dL/dh = dL/dlogits W^T
    d_hidden = (d_logits @ kernel.T).reshape(hidden.shape)
    return d_hidden, d_kernel, d_bias


def sum_by_id(ids: Array, rows: Array, vocab_size: int) -> Array:
    """Sum rows into a table with one row for each id of the vocabulary.

    This is the gradient of an embedding table: an id that was read k times gets the sum of k gradients.

    >>> sum_by_id(np.array([[2], [2]]), np.ones((2, 1, 1)), 3).ravel().tolist()
    [0.0, 0.0, 2.0]

    Args:
        ids: (T, B).
        rows: dL/dx of the embeddings that were read (T, B, E).
        vocab_size: V, the rows of the table.

    Returns:
        dL/dE (V, E), 0 for ids that were not read.
    """
    # dL/dE[v] = sum of dL/dx over all places where id v was read: sort the places by id, then sum each run
    order = np.argsort(ids, axis=None, kind="stable")
    found, starts = np.unique(ids.ravel()[order], return_index=True)
    table = np.zeros((vocab_size, rows.shape[-1]), rows.dtype)
    table[found] = np.add.reduceat(rows.reshape(-1, rows.shape[-1])[order], starts, axis=0)
    return table
