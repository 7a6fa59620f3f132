"""Checks of what a backend is given, made before a framework sees it, so that all backends refuse alike.

Frameworks differ here. For an id outside the vocabulary PyTorch raises and TensorFlow on a GPU answers with
zeros; a loss over no tokens is NaN or 0. Here each is an error of one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig

__all__ = [
    "INNER",
    "check_against",
    "check_batch",
    "check_dtype",
    "check_ids",
    "check_inner",
    "check_rows",
    "check_state",
]

INNER = ("hidden", "cell", "gates")
"""The kinds of inner arrays that each layer of our LSTM shows."""


def check_dtype(dtype: str) -> str:
    """Return the dtype, which must be "float32" or "float64"."""
    if dtype not in ("float32", "float64"):
        raise MinilmError(f"dtype must be float32 or float64, got {dtype!r}")
    return dtype


def check_ids(ids: Any, vocab_size: int) -> Array:
    """Return the ids as an array (T,) of int64: at least one, and each inside the vocabulary.

    >>> check_ids([3, 9], 5)
    Traceback (most recent call last):
    minilm.errors.MinilmError: Id 9 at position 1 is outside the vocabulary of 5 (0 to 4)
    """
    # every step of a generation reads one id, so this case must be quick
    if isinstance(ids, list) and len(ids) == 1 and type(ids[0]) is int and 0 <= ids[0] < vocab_size:
        return np.array(ids)
    array = np.asarray(ids)
    if array.ndim != 1 or not array.size:
        what = "none" if not array.size else f"an array of shape {array.shape}"
        raise MinilmError(f"read() needs a list of at least one id, got {what}")
    return _in_range(array, vocab_size)


def _in_range(array: Array, vocab_size: int) -> Array:
    if array.dtype.kind not in "iu":
        raise MinilmError(f"Ids must be whole numbers, got an array of {array.dtype}")
    wrong = np.argwhere((array < 0) | (array >= vocab_size))
    if wrong.size:
        place = tuple(int(number) for number in wrong[0])
        where = place[0] if len(place) == 1 else place
        raise MinilmError(
            f"Id {array[place]} at position {where} is outside the vocabulary of {vocab_size} "
            f"(0 to {vocab_size - 1})"
        )
    return array.astype(np.int64, copy=False)


def check_rows(rows: str) -> bool:
    """Return True for "all" and False for "last"; any other word raises MinilmError."""
    if rows not in ("last", "all"):
        raise MinilmError(f'rows must be "last" or "all", got {rows!r}')
    return rows == "all"


def check_inner(inner: Sequence[str], layers: int) -> Sequence[str]:
    """Return the names of inner arrays, which must be hidden.L, cell.L or gates.L of a layer."""
    if inner:
        known = [f"{kind}.{layer}" for layer in range(layers) for kind in INNER]
        unknown = [name for name in ([inner] if isinstance(inner, str) else inner) if name not in known]
        if unknown or isinstance(inner, str):
            raise MinilmError(f"inner must be a list of {', '.join(known)}; got {(unknown or [inner])[0]!r}")
    return inner


def check_state(state: Any, layers: int, shape: tuple[int, ...]) -> None:
    """Raise MinilmError unless a state is None, or has an (h, c) of this shape for each layer."""
    if state is not None and (len(state) != layers or tuple(state[0][0].shape) != shape):
        raise MinilmError("The state is another model's; hand back the one that this model's read() gave")


def check_against(target: int, against: int | None, of: str, vocab_size: int) -> None:
    """Raise MinilmError for an id outside the vocabulary, and for a value other than "logp" and "logit"."""
    check_ids([target] if against is None else [target, against], vocab_size)
    if of not in ("logp", "logit"):
        raise MinilmError(f'of must be "logp" or "logit", got {of!r}')


def check_batch(
    config: ModelConfig,
    inputs: Any,
    targets: Any,
    mask: Any,
    dropout: Sequence[Any] | None = None,
    denominator: float | None = None,
) -> tuple[Array, Array, Array, float]:
    """Return the batch as arrays, and the number that the summed loss is divided by.

    Args:
        config: the sizes of the model.
        inputs: (B, T) ids.
        targets: (B, T) ids.
        mask: (B, T) of 1 where a target counts and 0 where it does not.
        dropout: a mask (B, T, H) per layer, or None.
        denominator: number above 0; None stands for the number of targets that count.

    Returns:
        Inputs and targets as int64, the mask, and the denominator.
    """
    inputs, targets, mask = np.asarray(inputs), np.asarray(targets), np.asarray(mask)
    if inputs.ndim != 2 or not inputs.size or not inputs.shape == targets.shape == mask.shape:
        got = f"{inputs.shape}, {targets.shape} and {mask.shape}"
        raise MinilmError(f"inputs, targets and mask must have one shape (B, T), got {got}")
    if not np.all((mask == 0) | (mask == 1)):
        raise MinilmError("The mask must hold 0 and 1 only; 1 where the target counts")
    if denominator is None:
        denominator = float(np.count_nonzero(mask))
        if not denominator:
            raise MinilmError("The batch is all padding: its mask holds no 1; leave it out")
    elif not denominator > 0:
        raise MinilmError(f"The denominator must be above 0, got {denominator}")
    inputs, targets = _in_range(inputs, config.vocab_size), _in_range(targets, config.vocab_size)
    _check_dropout(config, inputs.shape, dropout)
    return inputs, targets, mask, float(denominator)


def _check_dropout(config: ModelConfig, shape: tuple[int, ...], dropout: Sequence[Any] | None) -> None:
    if dropout is None:
        return
    expected = (*shape, config.hidden_size)
    got = [np.shape(mask) for mask in dropout]
    if got != [expected] * config.layers:
        raise MinilmError(f"dropout must be {config.layers} masks (B, T, H) of shape {expected}, got {got}")
