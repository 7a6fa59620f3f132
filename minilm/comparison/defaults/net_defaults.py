"""Defaults of the net that can be switched on: the forward pass, padding and the loss, the first weights.

Each family has the names of its defaults and a function that measures arrays with some of them switched on.
Where none is on, the arrays are those of the NumPy backend.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilm.backends import create
from minilm.comparison.defaults.small_net import (
    CONFIG,
    make_batch,
    make_small_weights,
    read_hidden,
    run_hidden,
    run_logits,
)
from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.numerics import log_softmax, softmax
from minilm.records import Array
from minilm.training.batches import PAD, Batches

__all__ = [
    "FIRST_WEIGHTS",
    "FORWARD",
    "PADDING",
    "check_refusal",
    "draw_glorot",
    "draw_orthogonal",
    "observe_first_weights",
    "observe_forward",
    "observe_padding",
]

FORWARD = frozenset(["gate_order", "weight_layout", "time_major", "dropout_place", "sum_order"])

PADDING = frozenset(
    [
        "loss_over_padding",
        "all_padding",
        "probabilities_as_logits",
        "implicit_mask",
        "padded_steps",
        "padding_row",
        "empty_row",
    ]
)

FIRST_WEIGHTS = frozenset(["embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init"])

KEPT = 0.5


def observe_forward(on: frozenset[str]) -> dict[str, Array]:
    """Measure the forward pass.

    Args:
        on: the defaults of FORWARD that are switched on.

    Returns:
        Logits (B, T, V), the head's input under dropout (B, T, H), and logits in float32, where the order of
        sums shows.
    """
    arrays = make_small_weights()
    if "gate_order" in on:
        for part in ("kernel", "recurrent", "bias"):
            i, f, g, o = np.split(arrays[f"lstm.0.{part}"], 4, axis=-1)
            arrays[f"lstm.0.{part}"] = np.concatenate([i, f, o, g], axis=-1)
    if "weight_layout" in on:
        for part in ("kernel", "recurrent"):
            # torch has (4H, in); a reshape to (in, 4H) is not a transpose.
            as_torch = arrays[f"lstm.0.{part}"].T
            arrays[f"lstm.0.{part}"] = as_torch.reshape(as_torch.shape[::-1])
    ids = make_batch().inputs  # (B, T)
    logits = run_logits(arrays, ids.T).swapaxes(0, 1) if "time_major" in on else run_logits(arrays, ids)
    return {"logits": logits, "dropout": _drop(ids, on), "float32 logits": _run_float32(ids, on)}


def _drop(ids: Array, on: frozenset[str]) -> Array:
    """Return hidden states with a mask for every step behind the layer, or one for all steps before it."""
    arrays, dice = make_small_weights(), generator(2, "rows")
    values = arrays["embedding"][ids]  # (B, T, E)
    if "dropout_place" in on:
        mask = dice.random((len(ids), 1, CONFIG.embedding_size)) < KEPT
        return run_hidden(arrays, values * mask / KEPT)
    mask = dice.random((*ids.shape, CONFIG.hidden_size)) < KEPT
    return run_hidden(arrays, values) * mask / KEPT


def _run_float32(ids: Array, on: frozenset[str]) -> Array:
    arrays = make_small_weights("float32")
    top = read_hidden(arrays, ids)
    # (B, T, H, V), to be summed over H one after the other
    products = top[..., None] * arrays["head.kernel"]
    products = products[:, :, ::-1] if "sum_order" in on else products
    return np.add.accumulate(products, axis=2)[:, :, -1] + arrays["head.bias"]


def observe_padding(on: frozenset[str]) -> dict[str, Array]:
    """Measure a padded batch.

    Args:
        on: the defaults of PADDING that are switched on.

    Returns:
        The loss, the LSTM's outputs (B, T, H), the embedding of the padding, and the answers to a batch that
        is all padding and to an empty row.
    """
    batch = make_batch(padded=True)
    row = make_small_weights()["embedding"][PAD]
    return {
        "loss": np.array(_padded_loss(on)),
        "padded outputs": _run_padded(batch.inputs, batch.mask, on),
        "padding row": np.zeros_like(row) if "padding_row" in on else row,
        "batch all padding": check_refusal(_train_on_padding, "all_padding" in on),
        "empty row": check_refusal(_batch_empty_row, "empty_row" in on),
    }


def _padded_loss(on: frozenset[str]) -> float:
    arrays, batch = make_small_weights(), make_batch(padded=True)
    scores = run_logits(arrays, batch.inputs)
    if "probabilities_as_logits" in on:
        scores = softmax(scores)
    losses = -np.take_along_axis(log_softmax(scores), batch.targets[..., None], axis=-1)[..., 0]
    mask = (batch.inputs != PAD) if "implicit_mask" in on else batch.mask
    return float((losses * mask).sum() / (mask.size if "loss_over_padding" in on else mask.sum()))


def _run_padded(ids: Array, mask: Array, on: frozenset[str]) -> Array:
    """Return hidden states (B, T, H): the layer goes on over padding, or repeats its last output."""
    hidden = read_hidden(make_small_weights(), ids)
    if "padded_steps" in on:
        last = mask.sum(axis=1).astype(int) - 1
        places = np.minimum(np.arange(ids.shape[1]), last[:, None])
        hidden = np.take_along_axis(hidden, places[..., None], axis=1)
    return hidden


def check_refusal(attempt: Callable[[], object], silent: bool) -> Array:
    """Return "refused" where minilm refuses an attempt, "accepted" where it does not.

    Args:
        attempt: does what should be refused.
        silent: True where the default is on that goes on without a word; then the answer is "0".
    """
    if silent:
        return np.array("0")
    try:
        attempt()
    except MinilmError:
        return np.array("refused")
    return np.array("accepted")


def _train_on_padding() -> None:
    batch = make_batch()
    create("numpy", CONFIG).gradients(batch.inputs, batch.targets, np.zeros_like(batch.mask))


def _batch_empty_row() -> None:
    Batches([np.array([2])])


def observe_first_weights(on: frozenset[str]) -> dict[str, Array]:
    """Draw the first weights, each array as the other framework would by default.

    Args:
        on: the defaults of FIRST_WEIGHTS that are switched on; the canonical arrays are the neutral form.
    """
    arrays, dice = make_small_weights(), generator(1, "rows")
    bound = 1 / np.sqrt(CONFIG.hidden_size)
    if "embedding_init" in on:
        arrays["embedding"] = dice.uniform(-0.05, 0.05, arrays["embedding"].shape)
    if "kernel_init" in on:
        arrays["lstm.0.kernel"] = draw_glorot(dice, arrays["lstm.0.kernel"].shape)
    if "recurrent_init" in on:
        arrays["lstm.0.recurrent"] = draw_orthogonal(dice, arrays["lstm.0.recurrent"].shape)
    if "bias_init" in on:
        # torch draws both of its biases.
        arrays["lstm.0.bias"] = dice.uniform(-bound, bound, (2, 4 * CONFIG.hidden_size)).sum(axis=0)
    if "head_init" in on:
        arrays["head.kernel"] = draw_glorot(dice, arrays["head.kernel"].shape)
        arrays["head.bias"] = dice.uniform(-bound, bound, arrays["head.bias"].shape)
    return {f"first {name}": array for name, array in arrays.items()}


def draw_glorot(dice: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw a kernel uniformly from (-a, a) with a = √(6 / (in + out)) (Glorot and Bengio, 2010).

    Args:
        dice: the generator to draw from.
        shape: (in, out); Keras takes the fused 4H for out.
    """
    bound = np.sqrt(6 / sum(shape))
    return dice.uniform(-bound, bound, shape)


def draw_orthogonal(dice: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Draw a matrix whose rows have length 1 and right angles between them (Saxe et al., 2014).

    Args:
        dice: the generator to draw from.
        shape: (rows, columns), with at most as many rows as columns.
    """
    square, upper = np.linalg.qr(dice.standard_normal(shape[::-1]))
    return (square * np.sign(np.diag(upper))).T
