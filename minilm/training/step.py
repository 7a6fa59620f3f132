"""One training step: gradients, a look at them, the update; and the record of it.

The order of the batches, the rate and who asks for the next step are the loop's affair (fit.py, timeline.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import Array, Gradients, ParameterNorms, TrainStep, frozen_array
from minilm.training.batches import Batch

__all__ = ["check_finite", "norm", "one_step"]


def one_step(
    model: Trainable,
    batch: Batch,
    masks: Sequence[Array] | None,
    *,
    index: int,
    rate: float,
    clip: float | None,
    tokens: int,
    watch: bool = False,
) -> TrainStep:
    """Train on one batch and say what happened; index from 1, tokens: targets seen, this batch's included.

    masks: of dropout, (B, T, H) a layer. Raises MinilmError where the loss (when watched, a gradient too)
    is not finite; the model is then as it was.
    """
    gradients = model.gradients(batch.inputs, batch.targets, batch.mask, masks)
    check_finite(gradients, index)
    if not watch:
        factor = model.update(gradients, rate, clip)
        return TrainStep(index, frozen_array(batch.inputs), gradients.loss, tokens, rate, factor)
    norms = {name: norm(array) for name, array in gradients.arrays.items()}
    _check_norms(norms, index)
    before = {name: array.copy(order="K") for name, array in model.weights().items()}
    factor = model.update(gradients, rate, clip)
    return TrainStep(
        index,
        frozen_array(batch.inputs),
        gradients.loss,
        tokens,
        rate,
        factor,
        losses=frozen_array(gradients.losses.copy()),
        norms=_norms(norms, before, model),
        targets=frozen_array(np.where(batch.mask > 0, batch.targets, -1)),
    )


def check_finite(gradients: Gradients, step: int) -> None:
    """Raise MinilmError that names the first target whose loss is not finite."""
    if math.isfinite(gradients.loss):
        return
    wrong = np.argwhere(~np.isfinite(gradients.losses))
    where = f", first at row {wrong[0][0]}, position {wrong[0][1]}" if len(wrong) else ""
    raise MinilmError(
        f"Loss is {gradients.loss} in step {step}{where}; lower the rate or the clip, then resume"
    )


def _check_norms(norms: Mapping[str, float], step: int) -> None:
    wrong = next((name for name, value in norms.items() if not math.isfinite(value)), None)
    if wrong:
        raise MinilmError(
            f"Gradient of {wrong} is {norms[wrong]} in step {step}, nothing was updated; look at the batch"
        )


@np.errstate(over="ignore", invalid="ignore")  # an infinite weight has no change
def _norms(
    gradients: Mapping[str, float], before: Mapping[str, Array], model: Trainable
) -> dict[str, ParameterNorms]:
    after = model.weights()
    found: dict[str, ParameterNorms] = {}
    for name, old in before.items():
        new = after[name]
        change = np.subtract(new, old, out=old)  # in the copy's own place: no memory is asked for
        found[name] = ParameterNorms(gradients[name], norm(change), norm(new))
    return found


def norm(array: Array) -> float:
    """Euclidean norm: one product of the array as it lies in memory, in float64 only where that overflows.

    >>> norm(np.array([3.0, 4.0])), norm(np.array([3e30, 4e30], np.float32)) > 4e30
    (5.0, True)
    """
    flat = array.ravel(order="K")  # a view: a transposed kernel is not copied
    with np.errstate(over="ignore"):
        square = float(np.dot(flat, flat))
        if not math.isfinite(square):
            square = float(np.sum(np.square(flat, dtype=np.float64)))
    return math.sqrt(square) if square == square else math.nan
