"""The attention of each head and the logit lens of each layer, from the inner arrays of a transformer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.inside.reading import find_inner
from minilm.numerics import entropy, log_softmax, rank
from minilm.records import Array, Reading, frozen_array

__all__ = ["HeadAttention", "LayerLens", "apply_lens", "measure_attention"]


@dataclass(frozen=True, eq=False)
class HeadAttention:
    """The places that one head attends to from the last token.

    Attributes:
        layer: the layer's number, from 0.
        head: the head's number in its layer, from 0.
        weights: (S,) attention over the S places read; their sum is 1.
        entropy: of the weights, in nats: 0 where all attention is on one place.
        strongest: the place with the largest weight.
        back: mean distance from the last token back to the places, in tokens, by weight.
    """

    layer: int
    head: int
    weights: Array
    entropy: float
    strongest: int
    back: float

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class LayerLens:
    """The next token that the head would predict from one layer's hidden state of the last token.

    Attributes:
        layer: the layer's number; 0 is the embedding.
        best: ids of the most likely tokens, the most likely first.
        p: their probabilities.
        rank: rank that this layer gives to the token which the model itself finds most likely; 1 is best.
        logp: log-probability that this layer gives to that token, in nats.
        entropy: of this layer's distribution, in nats.
        norm: Euclidean norm of the hidden state.

    Source: nostalgebraist (2020), "interpreting GPT: the logit lens".
    """

    layer: int
    best: tuple[int, ...]
    p: tuple[float, ...]
    rank: int
    logp: float
    entropy: float
    norm: float

    __repr__ = one_line


def measure_attention(reading: Reading, layer: int) -> tuple[HeadAttention, ...]:
    """Measure the attention of every head of a layer, from the last token read.

    Args:
        reading: a reading that carries attention.L of the layer.
        layer: the layer's number L.

    Raises:
        MinilmError: the reading does not carry it.
    """
    (weights,) = find_inner(reading, f"attention.{layer}")  # (heads, T, S)
    heads = []
    for head, row in enumerate(np.asarray(weights, np.float64)[:, -1]):
        places = np.arange(row.size)
        back = float(row @ (row.size - 1 - places))
        heads.append(HeadAttention(layer, head, frozen_array(row), entropy(row), int(np.argmax(row)), back))
    return tuple(heads)


def apply_lens(reading: Reading, top: int = 5) -> tuple[LayerLens, ...]:
    """Return the prediction of every layer for the token that follows the last one read.

    Args:
        reading: a reading that carries logit_lens.L and hidden.L.
        top: how many of each layer's most likely tokens to return, at least 1.

    Raises:
        MinilmError: the reading lacks these arrays, or top is below 1.
    """
    if top < 1:
        raise MinilmError(f"The number of tokens to show must be 1 or more, got {top}")
    names = [name for name in reading.inner if name.startswith("logit_lens.") and name[11:].isdigit()]
    if not names:
        raise MinilmError("The reading must carry logit_lens.L and hidden.L; only a transformer shows them")
    final = int(np.argmax(reading.logits[-1]))
    return tuple(_lens(reading, layer, top, final) for layer in sorted(int(name[11:]) for name in names))


def _lens(reading: Reading, layer: int, top: int, final: int) -> LayerLens:
    lens, hidden = find_inner(reading, f"logit_lens.{layer}", f"hidden.{layer}")  # (T, V), (T, H)
    logits = np.asarray(lens[-1], np.float64)
    logp = log_softmax(logits)
    best = np.argsort(-logits, kind="stable")[:top]
    return LayerLens(
        layer,
        best=tuple(best.tolist()),
        p=tuple(np.exp(logp[best]).tolist()),
        rank=rank(logits, final),
        logp=float(logp[final]),
        entropy=entropy(np.exp(logp)),
        norm=float(np.linalg.norm(np.asarray(hidden[-1], np.float64))),
    )
