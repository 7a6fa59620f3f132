"""What each hidden unit adds to a logit, or to one token rather than another: logit = sum of h_i W_i + b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.inside.looking import last_layer
from minilm.protocols import Inspectable
from minilm.records import Array, Reading, frozen_array

__all__ = ["UnitShares", "direction", "units", "value_of"]


@dataclass(frozen=True, eq=False)
class UnitShares:
    """A logit, or the difference of two, split over the H units that the head reads.

    shares: (H,) h_i W_i; hidden: (H,); bias: the head's own; value: the model's; residual: value less all
    of them, above rounding where a model does more than a matrix product after its last hidden state.
    """

    shares: Array
    hidden: Array
    bias: float
    value: float
    residual: float

    __repr__ = one_line


def units(model: Inspectable, reading: Reading, target: int, against: int | None = None) -> UnitShares:
    """Split the last token's logit of target, less that of against, over the hidden units.

    reading: with hidden.L of every layer; the last is what the head reads. MinilmError where it lacks it.
    """
    layer = last_layer(model, "hidden", reading)
    if layer is None:
        raise MinilmError(
            "The reading must carry hidden states; ask for inner=('hidden.L',) of the last layer"
        )
    hidden = np.asarray(reading.inner[f"hidden.{layer}"][-1], np.float64)
    column, bias = direction(model, target, against)
    shares, value = hidden * column, value_of(reading, target, against)
    residual = value - float(shares.sum()) - bias
    return UnitShares(frozen_array(shares), frozen_array(hidden), bias, value, residual)


def direction(model: Inspectable, target: int, against: int | None) -> tuple[Array, float]:
    """The head's column (H,) of target, less that of against, in float64, and its bias."""
    for token_id in (target,) if against is None else (target, against):
        if not 0 <= token_id < model.vocab_size:
            raise MinilmError(f"Id {token_id} is not in the vocabulary of {model.vocab_size}")
    kernel, bias = model.head()
    column = kernel[:, target].astype(np.float64)
    base = 0.0 if bias is None else float(bias[target])
    if against is None:
        return column, base
    return column - kernel[:, against], base - (0.0 if bias is None else float(bias[against]))


def value_of(reading: Reading, target: int, against: int | None) -> float:
    """The last token's logit of target, less that of against."""
    logits = reading.logits[-1]
    return float(logits[target]) - (0.0 if against is None else float(logits[against]))
