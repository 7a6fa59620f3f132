"""The rows of padding and loss: what counts, what is divided by, what an LSTM does where nothing is read."""

from __future__ import annotations

import numpy as np

from minilm.backends import create
from minilm.comparison.defaults.small_net import CONFIG, batch, hidden, start
from minilm.errors import MinilmError
from minilm.numerics import log_softmax, softmax
from minilm.records import Array
from minilm.training.batches import PAD, Batches

__all__ = ["NAMES", "observe"]

NAMES = frozenset(
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


def observe(on: frozenset[str]) -> dict[str, Array]:
    """The loss of a padded batch, the LSTM's outputs over it, the padding's embedding, and two refusals."""
    arrays, given = start(), batch(padded=True)
    table = arrays["embedding"]
    row = np.zeros_like(table[PAD]) if "padding_row" in on else table[PAD]
    return {
        "loss": np.array(_loss(on)),
        "padded outputs": _outputs(given.inputs, given.mask, on),
        "padding row": row,
        "batch all padding": _answer(_all_padding, on, "all_padding"),
        "empty row": _answer(_empty_row, on, "empty_row"),
    }


def _loss(on: frozenset[str]) -> float:
    arrays, given = start(), batch(padded=True)
    scores = hidden(arrays, arrays["embedding"][given.inputs]) @ arrays["head.kernel"] + arrays["head.bias"]
    if "probabilities_as_logits" in on:
        scores = softmax(scores)
    losses = -np.take_along_axis(log_softmax(scores), given.targets[..., None], axis=-1)[..., 0]
    mask = (given.inputs != PAD) if "implicit_mask" in on else given.mask
    return float((losses * mask).sum() / (mask.size if "loss_over_padding" in on else mask.sum()))


def _outputs(ids: Array, mask: Array, on: frozenset[str]) -> Array:
    """Hidden states (B, T, H): the layer runs on over padding, or repeats its last output."""
    arrays = start()
    found = hidden(arrays, arrays["embedding"][ids])
    if "padded_steps" in on:
        last = mask.sum(axis=1).astype(int) - 1
        places = np.minimum(np.arange(ids.shape[1]), last[:, None])
        found = np.take_along_axis(found, places[..., None], axis=1)
    return found


def _answer(asked: object, on: frozenset[str], name: str) -> Array:
    """ "refused" where the product refuses, "0" where the row makes it go on in silence."""
    if name in on:
        return np.array("0")
    try:
        asked()  # type: ignore[operator]
    except MinilmError:
        return np.array("refused")
    return np.array("accepted")


def _all_padding() -> None:
    given = batch()
    create("numpy", CONFIG).gradients(given.inputs, given.targets, np.zeros_like(given.mask))


def _empty_row() -> None:
    Batches([np.array([2])])
