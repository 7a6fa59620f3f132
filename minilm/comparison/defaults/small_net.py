"""A small language model on which the frameworks' defaults are tried.

Its arithmetic is the NumPy backend's. Its gradient keeps one slice of the embedding for each place of the
batch, because some defaults treat these slices before they are summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.backends.numpy.layer import Layer, backward_through_time, forward_through_time
from minilm.backends.numpy.loss import compute_logits, head_gradients, logits_gradient, softmax_cross_entropy
from minilm.dice import generator
from minilm.frozen import one_line
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batch
from minilm.weights import initial_weights

__all__ = [
    "CONFIG",
    "Slices",
    "compute_gradients",
    "make_batch",
    "make_small_weights",
    "read_hidden",
    "run_hidden",
    "run_logits",
]

CONFIG = ModelConfig(vocab_size=11, embedding_size=5, hidden_size=6)


@dataclass(frozen=True, eq=False)
class Slices:
    """The gradients of one batch.

    Attributes:
        loss: the masked mean, nats per token.
        ids: the ids that were read, (T, B).
        rows: the gradient at the embedding of each place, (T, B, E).
        dense: the gradients of the other parameters by canonical name.
    """

    loss: float
    ids: Array
    rows: Array
    dense: Mapping[str, Array]

    __repr__ = one_line


def make_small_weights(dtype: str = "float64") -> dict[str, Array]:
    """Return the canonical arrays with which every run begins.

    Args:
        dtype: "float32" or "float64".
    """
    return initial_weights(CONFIG, dtype)


def make_batch(step: int = 0, *, padded: bool = False) -> Batch:
    """Return a batch whose ids are repeated and contain a real id 0.

    Args:
        step: the number of the batch; each has other ids.
        padded: True to end the last row after three tokens.
    """
    ids = generator(0, "rows", step).integers(0, CONFIG.vocab_size, (3, 7))
    ids[0, 1:4] = 4
    ids[1, 2] = 0
    mask = np.ones((3, 6))
    if padded:
        ids[2, 4:], mask[2, 3:] = 0, 0
    return Batch(ids[:, :-1], ids[:, 1:], mask)


def _layer_of(arrays: Mapping[str, Array]) -> Layer:
    return Layer(*(arrays[f"lstm.0.{part}"] for part in Layer._fields))


def run_hidden(arrays: Mapping[str, Array], values: Array) -> Array:
    """Return the hidden states of embeddings, from a state of 0.

    Args:
        arrays: canonical arrays.
        values: embeddings (B, T, E).

    Returns:
        Hidden states (B, T, H).
    """
    zeros = np.zeros((len(values), arrays["lstm.0.recurrent"].shape[0]), values.dtype)
    trace = forward_through_time(_layer_of(arrays), values.swapaxes(0, 1), zeros, zeros)
    return trace.hidden[1:].swapaxes(0, 1)


def read_hidden(arrays: Mapping[str, Array], ids: Array) -> Array:
    """Return the hidden states (B, T, H) of ids (B, T)."""
    return run_hidden(arrays, arrays["embedding"][ids])


def run_logits(arrays: Mapping[str, Array], ids: Array) -> Array:
    """Return the logits (B, T, V) of ids (B, T)."""
    return read_hidden(arrays, ids) @ arrays["head.kernel"] + arrays["head.bias"]


def compute_gradients(arrays: Mapping[str, Array], batch: Batch) -> Slices:
    """Return the loss and the gradients of one batch.

    Args:
        arrays: canonical arrays.
        batch: ids and mask, (B, T) each.
    """
    ids, targets, count = batch.inputs.T, batch.targets.T, batch.mask.sum()
    zeros = np.zeros((len(batch.inputs), CONFIG.hidden_size))
    kernel, bias = arrays["head.kernel"], arrays["head.bias"]
    trace = forward_through_time(_layer_of(arrays), arrays["embedding"][ids], zeros, zeros)
    top = trace.hidden[1:]
    losses, probabilities = softmax_cross_entropy(compute_logits(kernel, bias, top), targets)
    d_logits = logits_gradient(probabilities, targets, batch.mask.T / count)
    d_top, d_kernel, d_bias = head_gradients(kernel, top, d_logits)
    rows, d_layer = backward_through_time(_layer_of(arrays), trace, d_top)
    dense = {f"lstm.0.{name}": array for name, array in d_layer._asdict().items()}
    dense |= {"head.kernel": d_kernel, "head.bias": d_bias}
    return Slices(float((losses * batch.mask.T).sum() / count), ids, rows, dense)
