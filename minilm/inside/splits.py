"""Two exact splits of a logit: over the hidden units, and over the tokens that an LSTM's cell remembers.

Over the units. The head computes

    logit = sum over units k of h_k W_k + b

with h the last hidden state and W the head's column of the token. So the share of unit k is h_k W_k.

Over the tokens. With c_t = f_t * c_{t-1} + i_t * g_t, the last cell is a sum with one part per token read,
and one for the state before the first (0 for a new text):

    c_T = sum over t of kept_t * i_t * g_t  +  kept_1 * f_1 * c_0        kept_t = f_{t+1} * ... * f_T

The output h_T = o_T * tanh(c_T) is no sum. tanh is shared in proportion: a part p of the cell c gets
p * tanh(c) / c, where tanh(c) / c is 1 at c = 0. So the share of token t is

    part_t = sum over units of kept_t * i_t * g_t * (tanh(c_T) / c_T) * o_T * W

The shares, the start and the head's bias add up to the logit. What is missing, rounding alone, is shown as
the residual. The split is of the last layer: in a deeper LSTM, what this layer reads at one token already
holds earlier tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.inside.reading import find_last_layer
from minilm.protocols import Inspectable
from minilm.records import Array, Reading, frozen_array

__all__ = ["MemorySplit", "UnitShares", "split_over_tokens", "split_over_units"]


@dataclass(frozen=True, eq=False)
class UnitShares:
    """A logit, or the difference of two, split over the H units that the head reads.

    Attributes:
        shares: (H,) h_k W_k of each unit.
        hidden: (H,) the last hidden state.
        bias: the head's bias.
        value: the model's own logit.
        residual: value minus all shares and the bias. It is rounding, or larger where a model does more
            after its last hidden state than one matrix product.
    """

    shares: Array
    hidden: Array
    bias: float
    value: float
    residual: float

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class MemorySplit:
    """A logit, or the difference of two, split over the T tokens read.

    Attributes:
        layer: the layer that is split, the last one.
        parts: (T,) share of each token read.
        start: share of the state before the first token.
        bias: the head's bias.
        value: the model's own logit.
        residual: value minus all shares and the bias: rounding.
        kept: (T,) how much of each token's entry is left in the cell, 0 to 1: the mean over the units of
            the product of the later forget gates.
    """

    layer: int
    parts: Array
    start: float
    bias: float
    value: float
    residual: float
    kept: Array

    __repr__ = one_line


def split_over_units(
    model: Inspectable, reading: Reading, target: int, against: int | None = None
) -> UnitShares:
    """Split the last token's logit of `target` over the hidden units.

    Args:
        model: the model.
        reading: a reading that carries hidden.L of the last layer.
        target: the id whose logit is split.
        against: an id whose logit is subtracted; None subtracts nothing.

    Raises:
        MinilmError: the reading lacks the hidden state, or an id is outside the vocabulary.
    """
    layer = find_last_layer(model, "hidden", reading)
    if layer is None:
        raise MinilmError(
            "The reading must carry hidden states; ask for inner=('hidden.L',) of the last layer"
        )
    hidden = np.asarray(reading.inner[f"hidden.{layer}"][-1], np.float64)  # (H,)
    column, bias = _head_column(model, target, against)
    shares, value = hidden * column, _logit(reading, target, against)
    residual = value - float(shares.sum()) - bias
    return UnitShares(frozen_array(shares), frozen_array(hidden), bias, value, residual)


def split_over_tokens(
    model: Inspectable, reading: Reading, target: int, against: int | None = None
) -> MemorySplit:
    """Split the last token's logit of `target` over the tokens read. For an LSTM.

    Args:
        model: the model.
        reading: a reading that carries gates.L and cell.L of the last layer, as read_inner gives it.
        target: the id whose logit is split.
        against: an id whose logit is subtracted; None subtracts nothing.

    Raises:
        MinilmError: the reading lacks gates or cells, or an id is outside the vocabulary.
    """
    layer = find_last_layer(model, "gates", reading)
    if layer is None or f"cell.{layer}" not in reading.inner:
        raise MinilmError(
            "A split of the memory needs gates and cells of the last layer; only an LSTM of ours shows them"
        )
    fused = np.asarray(reading.inner[f"gates.{layer}"], np.float64)  # (T, 4H)
    cells = np.asarray(reading.inner[f"cell.{layer}"], np.float64)  # (T, H)
    i, f, g, o = np.split(fused, 4, axis=1)  # (T, H) each
    column, bias = _head_column(model, target, against)  # (H,)
    # kept_t = f_{t+1} * ... * f_T: a running product from the last token back to the first, which ends at 1
    kept = np.cumprod(np.vstack([f[1:], np.ones_like(f[:1])])[::-1], axis=0)[::-1]  # (T, H)
    cell = cells[-1]
    squash = np.divide(np.tanh(cell), cell, out=np.ones_like(cell), where=cell != 0)
    # what one unit of cell adds to the logit: o_T * tanh(c_T) / c_T * W
    weight = column * o[-1] * squash  # (H,)
    parts = (kept * i * g) @ weight
    # f_1 * c_0 = c_1 - i_1 * g_1
    start = float((kept[0] * (cells[0] - i[0] * g[0])) @ weight)
    value = _logit(reading, target, against)
    residual = value - float(parts.sum()) - start - bias
    return MemorySplit(
        layer, frozen_array(parts), start, bias, value, residual, frozen_array(kept.mean(axis=1))
    )


def _head_column(model: Inspectable, target: int, against: int | None) -> tuple[Array, float]:
    """Return the head's column W (H,) of `target` in float64, minus that of `against`, and its bias."""
    for token_id in (target,) if against is None else (target, against):
        if not 0 <= token_id < model.vocab_size:
            raise MinilmError(f"Id {token_id} is not in the vocabulary of {model.vocab_size}")
    kernel, bias = model.head()
    column = kernel[:, target].astype(np.float64)
    base = 0.0 if bias is None else float(bias[target])
    if against is None:
        return column, base
    return column - kernel[:, against], base - (0.0 if bias is None else float(bias[against]))


def _logit(reading: Reading, target: int, against: int | None) -> float:
    """Return the last token's logit of `target`, minus that of `against`."""
    logits = reading.logits[-1]
    return float(logits[target]) - (0.0 if against is None else float(logits[against]))
