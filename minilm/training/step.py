"""One training step: gradients of a batch, then an update, and the record of both.

Which batch and which rate come next is decided by the loop in fit.py, or by a timeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import Array, Gradients, ModelConfig, ParameterNorms, TrainStep, frozen_array
from minilm.training.batches import Batch

__all__ = ["batch_gradients", "check_finite", "dropout_masks", "norm", "one_step"]


def one_step(
    model: Trainable,
    batch: Batch,
    *,
    seed: int,
    index: int,
    rate: float,
    clip: float | None,
    tokens: int,
    watch: bool = False,
) -> TrainStep:
    """Train on one batch and return the record of it.

    Args:
        model: changed in place.
        batch: what it is trained on.
        seed: the seed of the dropout masks.
        index: the number of the step, from 1.
        rate: the learning rate.
        clip: the largest global norm of the gradients; None does not clip.
        tokens: targets seen so far, those of this batch included.
        watch: the record also carries the loss of every target and the norms of every parameter.

    Raises:
        MinilmError: the loss, or in a watched step a gradient, is not finite; the model stays as it was.
    """
    gradients = batch_gradients(model, batch, seed, index - 1)
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
        norms=_parameter_norms(norms, before, model),
        targets=frozen_array(np.where(batch.mask > 0, batch.targets, -1)),
    )


def batch_gradients(model: Trainable, batch: Batch, seed: int, step: int) -> Gradients:
    """Return the gradients of a batch, with the dropout masks of its step; nothing is updated.

    Args:
        model: it stays as it is.
        batch: what it reads.
        seed: the seed of the masks.
        step: the number of the step, from 0.
    """
    masks = dropout_masks(model.config, seed, step, batch.inputs.shape)
    return model.gradients(batch.inputs, batch.targets, batch.mask, masks)


def dropout_masks(config: ModelConfig, seed: int, step: int, shape: tuple[int, ...]) -> list[Array] | None:
    """Return the dropout masks of a step: a function of seed, step and layer alone.

    Each number is 0 with the probability `config.dropout`, else 1 / (1 - dropout), so that the mean stays 1
    (inverted dropout; Srivastava et al., 2014).

    Args:
        config: the sizes of the model and its dropout.
        seed: of the training.
        step: from 0.
        shape: (B, T) of the batch.

    Returns:
        A mask (B, T, H) for each layer; None where the model has no dropout.
    """
    if not config.dropout:
        return None
    keep = 1 - config.dropout
    masks: list[Array] = []
    for layer in range(config.layers):
        dice = generator(seed, "dropout", step, layer)
        kept = dice.random((*shape, config.hidden_size), dtype=np.float32) < keep
        masks.append(kept.astype(np.float32) / np.float32(keep))
    return masks


def check_finite(gradients: Gradients, step: int) -> None:
    """Raise MinilmError, with the first such target, where the loss of a step (from 1) is not finite."""
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


# The change of an infinite weight is not a number, which the norms then show.
@np.errstate(over="ignore", invalid="ignore")
def _parameter_norms(
    gradients: Mapping[str, float], before: Mapping[str, Array], model: Trainable
) -> dict[str, ParameterNorms]:
    """Return the norms of gradient, update and weight by parameter, from the weights before the update."""
    after = model.weights()
    found: dict[str, ParameterNorms] = {}
    for name, old in before.items():
        new = after[name]
        # The difference overwrites the copy, so that no more memory is needed.
        change = np.subtract(new, old, out=old)
        found[name] = ParameterNorms(gradients[name], norm(change), norm(new))
    return found


def norm(array: Array) -> float:
    """Return the Euclidean norm, sqrt(sum of x^2), in float64 only where the array's own type overflows.

    >>> norm(np.array([3.0, 4.0])), norm(np.array([3e30, 4e30], np.float32)) > 4e30
    (5.0, True)
    """
    # A view in the order of the memory: a transposed kernel is not copied.
    flat = array.ravel(order="K")
    with np.errstate(over="ignore"):
        square = float(np.dot(flat, flat))
        if not math.isfinite(square):
            square = float(np.sum(np.square(flat, dtype=np.float64)))
    return math.sqrt(square) if square == square else math.nan
