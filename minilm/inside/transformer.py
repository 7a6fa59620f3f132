"""Attention per head and the logit lens per layer, from what a transformer's Reading carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.numerics import entropy, log_softmax, rank
from minilm.records import Array, Reading, frozen_array

__all__ = ["HeadLook", "LayerLens", "attention", "lens"]


@dataclass(frozen=True, eq=False)
class HeadLook:
    """Where one head looks from the last token.

    weights: (S,) over the places read, sum 1; entropy: in nats; strongest: the place with the most weight;
    back: how far behind the last token the weights lie, on average.
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
    """What the head would say to one layer's hidden state of the last token (nostalgebraist, 2020).

    layer: 0 is the embedding; best: the ids of the most likely tokens, best first; p: their probabilities;
    rank, logp: of the token that the model itself finds most likely; entropy: nats; norm: of the state.
    """

    layer: int
    best: tuple[int, ...]
    p: tuple[float, ...]
    rank: int
    logp: float
    entropy: float
    norm: float

    __repr__ = one_line


def attention(reading: Reading, layer: int) -> tuple[HeadLook, ...]:
    """Every head of a layer, from the last token read. MinilmError where the reading lacks attention.L."""
    weights = _inner(reading, f"attention.{layer}")  # (heads, T, S)
    looks = []
    for head, row in enumerate(np.asarray(weights, np.float64)[:, -1]):
        places = np.arange(row.size)
        back = float(row @ (row.size - 1 - places))
        looks.append(HeadLook(layer, head, frozen_array(row), entropy(row), int(np.argmax(row)), back))
    return tuple(looks)


def lens(reading: Reading, top: int = 5) -> tuple[LayerLens, ...]:
    """Every layer's own guess for the token that follows the last, and its `top` best tokens.

    Raises MinilmError where the reading lacks it, and for a top below 1.
    """
    if top < 1:
        raise MinilmError(f"The number of tokens to show must be 1 or more, got {top}")
    names = [name for name in reading.inner if name.startswith("logit_lens.") and name[11:].isdigit()]
    if not names:
        raise MinilmError("The reading must carry logit_lens.L and hidden.L; only a transformer shows them")
    final = int(np.argmax(reading.logits[-1]))
    looks = []
    for layer in sorted(int(name[11:]) for name in names):
        logits = np.asarray(_inner(reading, f"logit_lens.{layer}")[-1], np.float64)  # (V,)
        hidden = np.asarray(_inner(reading, f"hidden.{layer}")[-1], np.float64)
        logp = log_softmax(logits)
        best = np.argsort(-logits, kind="stable")[:top]
        p = tuple(np.exp(logp[best]).tolist())
        facts = (
            rank(logits, final),
            float(logp[final]),
            entropy(np.exp(logp)),
            float(np.linalg.norm(hidden)),
        )
        looks.append(LayerLens(layer, tuple(best.tolist()), p, *facts))
    return tuple(looks)


def _inner(reading: Reading, name: str) -> Array:
    if name not in reading.inner:
        kinds = ", ".join(sorted(reading.inner)) or "nothing"
        raise MinilmError(f"The reading carries no {name}, but {kinds}; ask for it when reading")
    return reading.inner[name]
