"""A small language model whose gradient keeps the embedding's slices apart, for rows that differ there.

The arithmetic is the NumPy backend's; only the last sum over repeated ids is left to the caller.
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
from minilm.weights import initial

__all__ = ["CONFIG", "Slices", "batch", "gradients", "hidden", "layer", "logits", "start"]

CONFIG = ModelConfig(vocab_size=11, embedding_size=5, hidden_size=6)


@dataclass(frozen=True, eq=False)
class Slices:
    """ids (T, B), and rows (T, B, E): what each place owes to the loss; dense: the other gradients."""

    loss: float
    ids: Array
    rows: Array
    dense: Mapping[str, Array]

    __repr__ = one_line


def start(dtype: str = "float64") -> dict[str, Array]:
    """The canonical arrays that every run begins with."""
    return initial(CONFIG, dtype)


def batch(step: int = 0, *, padded: bool = False) -> Batch:
    """Ids with repetitions and with a real id 0 among them; padded: the last row ends after three."""
    ids = generator(0, "rows", step).integers(0, CONFIG.vocab_size, (3, 7))
    ids[0, 1:4] = 4
    ids[1, 2] = 0
    mask = np.ones((3, 6))
    if padded:
        ids[2, 4:], mask[2, 3:] = 0, 0
    return Batch(ids[:, :-1], ids[:, 1:], mask)


def layer(arrays: Mapping[str, Array]) -> Layer:
    """The one LSTM layer of canonical arrays."""
    return Layer(*(arrays[f"lstm.0.{part}"] for part in Layer._fields))


def hidden(arrays: Mapping[str, Array], values: Array) -> Array:
    """Hidden states (B, T, H) of embeddings (B, T, E), from nothing."""
    zeros = np.zeros((len(values), arrays["lstm.0.recurrent"].shape[0]), values.dtype)
    trace = forward_through_time(layer(arrays), values.swapaxes(0, 1), zeros, zeros)
    return trace.hidden[1:].swapaxes(0, 1)


def logits(arrays: Mapping[str, Array], ids: Array) -> Array:
    """Logits (B, T, V) of ids (B, T)."""
    return hidden(arrays, arrays["embedding"][ids]) @ arrays["head.kernel"] + arrays["head.bias"]


def gradients(arrays: Mapping[str, Array], given: Batch) -> Slices:
    """Loss (the masked mean, nats) and gradients of one batch."""
    ids, targets, count = given.inputs.T, given.targets.T, given.mask.sum()
    zeros = np.zeros((len(given.inputs), CONFIG.hidden_size))
    kernel, bias = arrays["head.kernel"], arrays["head.bias"]
    trace = forward_through_time(layer(arrays), arrays["embedding"][ids], zeros, zeros)
    top = trace.hidden[1:]
    losses, probabilities = softmax_cross_entropy(compute_logits(kernel, bias, top), targets)
    d_logits = logits_gradient(probabilities, targets, given.mask.T / count)
    d_top, d_kernel, d_bias = head_gradients(kernel, top, d_logits)
    rows, d_layer = backward_through_time(layer(arrays), trace, d_top)
    dense = {f"lstm.0.{name}": array for name, array in d_layer._asdict().items()}
    dense |= {"head.kernel": d_kernel, "head.bias": d_bias}
    return Slices(float((losses * given.mask.T).sum() / count), ids, rows, dense)
