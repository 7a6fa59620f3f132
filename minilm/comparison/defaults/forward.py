"""The rows of the forward pass: gate order, layout, batch first, dropout, the order of sums."""

from __future__ import annotations

import numpy as np

from minilm.comparison.defaults.small_net import CONFIG, batch, hidden, logits, start
from minilm.dice import generator
from minilm.records import Array

__all__ = ["NAMES", "observe"]

NAMES = frozenset(["gate_order", "weight_layout", "time_major", "dropout_place", "sum_order"])

KEPT = 0.5


def observe(on: frozenset[str]) -> dict[str, Array]:
    """Logits (B, T, V); the head's input under dropout; and float32 logits, where the order of sums shows."""
    arrays = start()
    if "gate_order" in on:
        for part in ("kernel", "recurrent", "bias"):
            i, f, g, o = np.split(arrays[f"lstm.0.{part}"], 4, axis=-1)
            arrays[f"lstm.0.{part}"] = np.concatenate([i, f, o, g], axis=-1)
    if "weight_layout" in on:
        for part in ("kernel", "recurrent"):
            given = arrays[f"lstm.0.{part}"].T  # (4H, in), as torch has it
            arrays[f"lstm.0.{part}"] = given.reshape(given.shape[::-1])
    ids = batch().inputs
    found = logits(arrays, ids.T).swapaxes(0, 1) if "time_major" in on else logits(arrays, ids)
    return {"logits": found, "dropout": _dropped(ids, on), "float32 logits": _single(ids, on)}


def _dropped(ids: Array, on: frozenset[str]) -> Array:
    """Hidden states with a mask for every step behind the layer, or one for all steps before it."""
    arrays, dice = start(), generator(2, "rows")
    values = arrays["embedding"][ids]
    if "dropout_place" in on:
        mask = dice.random((len(ids), 1, CONFIG.embedding_size)) < KEPT
        return hidden(arrays, values * mask / KEPT)
    mask = dice.random((*ids.shape, CONFIG.hidden_size)) < KEPT
    return hidden(arrays, values) * mask / KEPT


def _single(ids: Array, on: frozenset[str]) -> Array:
    arrays = start("float32")
    top = hidden(arrays, arrays["embedding"][ids])
    products = top[..., None] * arrays["head.kernel"]  # (B, T, H, V), summed over H one after the other
    products = products[:, :, ::-1] if "sum_order" in on else products
    return np.add.accumulate(products, axis=2)[:, :, -1] + arrays["head.bias"]
