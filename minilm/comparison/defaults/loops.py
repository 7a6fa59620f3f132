"""The rows of the loop around a net: bad numbers, bad ids, what is reported, and in which order rows come."""

from __future__ import annotations

import numpy as np

from minilm.backends import create
from minilm.backends.numpy.adam import clip_factor, global_norm
from minilm.comparison.defaults.small_net import CONFIG
from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.records import Array
from minilm.training.batches import Batches

__all__ = ["NAMES", "observe"]

NAMES = frozenset(["infinite_gradient", "id_range", "reported_loss", "shuffling"])


def observe(on: frozenset[str]) -> dict[str, Array]:
    """What comes of an infinite gradient and of a wrong id; the reported losses; the ids of two batches."""
    losses = np.array([2.4, 2.1, 1.9, 1.8])
    running = np.cumsum(losses) / np.arange(1, 5)
    return {
        "infinite gradient": _infinite(on),
        "id out of range": _wrong_id(on),
        "reported losses": running if "reported_loss" in on else losses,
        "order of rows": _order(on),
    }


def _infinite(on: frozenset[str]) -> Array:
    gradients = {"a": np.array([1.0, np.inf]), "b": np.array([2.0])}
    try:
        norm = global_norm(gradients)
        factor = np.nan if "infinite_gradient" in on else clip_factor(norm, 1.0)
        moved = np.concatenate([array * factor for array in gradients.values()])
    except MinilmError:
        return np.array("refused")
    return np.array(" ".join(f"{value:g}" for value in moved))


def _wrong_id(on: frozenset[str]) -> Array:
    if "id_range" in on:
        return np.array("0")
    try:
        create("numpy", CONFIG).read([CONFIG.vocab_size])
    except MinilmError:
        return np.array("refused")
    return np.array("read")


def _order(on: frozenset[str]) -> Array:
    documents = [np.arange(number, number + 5) for number in range(12)]
    rows = np.concatenate([Batches(documents, 6, 4).batch(step).inputs[:, 0] for step in range(2)])
    return generator(3, "rows").permutation(rows) if "shuffling" in on else rows
