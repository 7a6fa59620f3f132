"""Checks of the loss and of the modes: its first value, its softmax, its axes and its course."""

from __future__ import annotations

from math import isfinite, log

import numpy as np

from minilm.doctor.records import Finding
from minilm.doctor.run import WatchedRun

__all__ = ["loss_at_start", "modes_mixed", "non_finite", "rate_too_high", "softmax_twice", "wrong_dimension"]

# A change of logits above this share of the largest logit is more than rounding.
ROUNDING = 1e-4

# Steps that a run must have before the course of its loss is judged.
ENOUGH = 10


def non_finite(run: WatchedRun) -> Finding | None:
    """The loss and every gradient must be finite numbers.

    Accuses: a division by zero, the logarithm of 0, or numbers that are too large.
    Evidence: the first loss or gradient norm that is NaN or infinite.
    Healthy: a loop with mixed precision that skips such steps on purpose (a gradient scaler).
    """
    for step in run.steps:
        wrong = [name for name, norm in step.raw.items() if not isfinite(norm)]
        if isfinite(step.loss) and not wrong:
            continue
        where = f"the gradient of {wrong[0]}" if isfinite(step.loss) else "the loss"
        return Finding(
            name="non_finite",
            step=step.step,
            number=step.loss,
            what=f"{where} is not finite; this is the loss",
            cause="a division by zero (an empty mask), the log of 0, or numbers that overflow",
            fix="stop before the update; look at this step's batch, and use log_softmax, not log(softmax)",
        )
    return None


def loss_at_start(run: WatchedRun) -> Finding | None:
    """The first loss must be about ln V, because fresh weights know nothing.

    Accuses: the loss is a sum, or has a wrong divisor, or the first weights are too large.
    Evidence: the loss of step 1 is more than 25 % (and 0.1 nats) from ln V.
    Healthy: a loop that continues with trained weights; it is judged only where its first step is step 1.
    """
    first = next(iter(run.steps), None)
    if first is None or first.step != 1 or not isfinite(first.loss):
        return None
    expected = log(first.vocab_size)
    if abs(first.loss - expected) <= 0.25 * expected + 0.1:
        return None
    counted = 0 if first.look is None else int((first.look.weights > 0).sum())
    if counted > 1 and abs(first.loss / counted - expected) < 0.25 * expected:
        cause = f"the loss is a sum over {counted} tokens, not their mean"
        fix = "divide by the number of tokens that count"
    elif first.loss > expected:
        cause = "the first weights are too large, or the loss takes numbers for logits that are none"
        fix = "smaller first weights"
    else:
        cause = "the weights are not fresh, the answer is visible, or the loss is divided by too much"
        fix = "look at the divisor of the loss and at what the model reads"
    what = f"loss at step 1; ln {first.vocab_size} = {expected:.3f}"
    return Finding("loss_at_start", 1, first.loss, what, cause, fix)


def softmax_twice(run: WatchedRun) -> Finding | None:
    """A cross entropy that expects logits must not get probabilities.

    Accuses: the model ends in a softmax, and the loss applies another one, so it can never become small.
    Evidence: the outputs are probabilities, and the loss is the cross entropy of them taken as logits.
    The best possible loss is then ln(1 + (V - 1) / e): one output is 1, all others are 0.
    Healthy: none; logits that are probabilities by chance do not sum to 1 at every position.
    """
    for step, details in run.detailed_steps:
        if details.twice:
            return Finding(
                name="softmax_twice",
                step=step.step,
                number=log(1 + (step.vocab_size - 1) / np.e),
                what="nats, and the loss cannot get below this",
                cause="the model ends in a softmax and the loss applies another one",
                fix="let the model give logits, or tell the loss that it does not (from_logits=False)",
            )
    return None


def wrong_dimension(run: WatchedRun) -> Finding | None:
    """The softmax must run over the vocabulary, and rows must not read each other.

    Accuses: a softmax over time or batch, a reshape where the axes should be swapped, or a layer that takes
    the batch for time.
    Evidence: the outputs sum to 1 along time or batch and not along V; or the gradient at the logits of a
    position does not sum to 0, as the gradient of a softmax does; or a row's logits change when other rows
    are replaced.
    Healthy: batch norm, which makes rows depend on each other in train mode; the probes use evaluation mode.
    """
    return _softmax_over_wrong_axis(run) or _rows_mixed(run)


def _softmax_over_wrong_axis(run: WatchedRun) -> Finding | None:
    for step, details in run.detailed_steps:
        for axis in ("time", "batch"):
            if details.sums.get(axis, 1.0) < 1e-3 < details.sums.get("vocabulary", 0.0):
                return Finding(
                    name="wrong_dimension",
                    step=step.step,
                    number=details.sums[axis],
                    what=f"how far the outputs are from summing to 1 along {axis}",
                    cause=f"a softmax over {axis} instead of the vocabulary",
                    fix="softmax(logits, -1)",
                )
        if details.slope > 0.2:
            return Finding(
                name="wrong_dimension",
                step=step.step,
                number=details.slope,
                what="share of the gradient that a softmax over V cannot give",
                cause="the outputs are reshaped where their axes should be swapped (view for transpose)",
                fix="logits.flatten(0, 1) with targets.flatten(), or logits.transpose(1, 2)",
            )
    return None


def _rows_mixed(run: WatchedRun) -> Finding | None:
    for probes in run.probes:
        if probes.rows > ROUNDING:
            return Finding(
                name="wrong_dimension",
                step=probes.step,
                number=probes.rows,
                what="how far logits change when only another row changes",
                cause="time and batch are swapped: the layer runs from row to row",
                fix="batch_first=True",
            )
    return None


def rate_too_high(run: WatchedRun) -> Finding | None:
    """The loss must go down, not up.

    Accuses: the learning rate is too high; the finding names how large an update is for its weight.
    Evidence: after at least 10 steps, the median of the last third is more than 10 % (and 0.1 nats) above the
    first loss, or the highest loss is more than 50 % (and 0.5 nats) above it.
    Healthy: a short run on batches of very different difficulty.
    """
    losses = [step.loss for step in run.steps]
    if len(losses) < ENOUGH or not all(map(isfinite, losses)):
        return None
    first, late, highest = losses[0], float(np.median(losses[-len(losses) // 3 :])), max(losses)
    if late <= 1.1 * first + 0.1 and highest <= 1.5 * first + 0.5:
        return None
    ratios = [
        details.updates[name] / size
        for _, details in run.detailed_steps
        for name, size in details.sizes.items()
        if size > 0 and name in details.updates
    ]
    rates = [step.rate for step in run.steps if step.rate is not None]
    at_rate = f" at rate {max(rates):g}" if rates else ""
    return Finding(
        name="rate_too_high",
        step=run.steps[losses.index(highest)].step,
        number=highest,
        what=f"highest loss{at_rate}; the first was {first:.3f}",
        cause=f"a typical update is {np.median(ratios) if ratios else 0:.2g} of the weight that it changes",
        fix="a tenth of the rate; 0.001 of the weight per update is usual, and 0.1 is too much",
    )


def modes_mixed(run: WatchedRun) -> Finding | None:
    """Dropout must be on in training, and only there; the same holds for batch norm.

    Accuses: the model trains in evaluation mode, is tested in train mode, or has dropout that ignores the
    mode.
    Evidence: the mode of each step; a reading without gradients in train mode; or two readings of one batch
    in evaluation mode that differ unless the random numbers are reset.
    Healthy: a model without dropout and batch norm, whose mode changes nothing.
    """
    return _wrong_mode(run) or _dropout_always_on(run)


def _wrong_mode(run: WatchedRun) -> Finding | None:
    for step in run.steps:
        if step.modal and not step.training:
            return Finding(
                name="modes_mixed",
                step=step.step,
                number=1.0,
                what="training steps outside train mode, so far",
                cause="the model was left in evaluation mode, or training=True is missing: no dropout",
                fix="model.train() before the loop, or model(ids, training=True)",
            )
        if step.tested_in_training:
            return Finding(
                name="modes_mixed",
                step=step.step,
                number=1.0,
                what="evaluations in train mode, so far",
                cause="dropout is on while the model is only read",
                fix="model.eval() before the evaluation, model.train() after it",
            )
    return None


def _dropout_always_on(run: WatchedRun) -> Finding | None:
    for probes in run.probes:
        if probes.chance > ROUNDING:
            return Finding(
                name="modes_mixed",
                step=probes.step,
                number=probes.chance,
                what="how far the logits of one batch differ in evaluation mode when it is read twice",
                cause="dropout ignores the mode",
                fix="functional.dropout(x, p, self.training), or a Dropout layer",
            )
    return None
