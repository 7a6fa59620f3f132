"""Checks of the loss and of the modes: its first value, its softmax, its axes and its course."""

from __future__ import annotations

from math import isfinite, log

import numpy as np

from minilm.doctor.records import Finding, Observation
from minilm.doctor.run import WatchedRun

__all__ = [
    "is_softmax_missing",
    "loss_at_start",
    "modes_mixed",
    "non_finite",
    "rate_too_high",
    "softmax_twice",
    "wrong_dimension",
]

# A change of logits above this share of the largest logit is more than rounding.
ROUNDING = 1e-4

# Steps that a run must have before the course of its loss is judged.
ENOUGH = 10

# An update of this share of its weight is violent.
VIOLENT = 0.5


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
        if step is not run.steps[0] and run.largest_update(step.step) >= VIOLENT:
            # The updates have thrown the weights away: see rate_too_high.
            return None
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

    Accuses: the loss function gets logits or probabilities where it expects something else; the loss is a sum
    over all tokens, or has a wrong divisor; or the first weights are too large.
    Evidence: what the loss function expects and gets; or the loss of step 1 is more than 25 % (and 0.1 nats)
    from ln V, alone and as the mean of its backward passes, and it is not what the outputs explain.
    Healthy: trained weights, whose small loss is the true cross entropy of the outputs; a mean over rows of a
    sum over time; a loop that goes on is judged only where its first step is step 1.
    """
    return _missing_softmax(run) or _wrong_first_loss(run)


def is_softmax_missing(run: WatchedRun) -> bool:
    """Return True where the loss function gets logits or probabilities, and expects something else."""
    return _missing_softmax(run) is not None


def _missing_softmax(run: WatchedRun) -> Finding | None:
    for step, details in run.detailed_steps:
        if details.takes in ("", "logits") or details.gets in ("", details.takes):
            continue
        if min(details.sums.get(axis, 1.0) for axis in ("time", "batch")) < 1e-3:
            # The softmax is there, over the wrong axis: see wrong_dimension.
            continue
        gets, takes = details.gets, details.takes
        sign = "a negative loss: " if step.loss < 0 else ""
        return Finding(
            name="loss_at_start",
            step=step.step,
            number=step.loss,
            what=f"loss; ln {step.vocab_size} = {log(step.vocab_size):.3f}",
            cause=f"{sign}the loss expects {takes} but gets {gets}"
            + (": p where log p belongs" if gets == "probabilities" else ": the softmax is missing"),
            fix="log_softmax before NLLLoss, or cross_entropy with logits"
            if takes == "log-probabilities"
            else "from_logits=True in the loss, or a softmax at the end of the net",
        )
    return None


def _wrong_first_loss(run: WatchedRun) -> Finding | None:
    first = next(iter(run.steps), None)
    if first is None or first.step != 1 or not isfinite(first.loss):
        return None
    expected = log(first.vocab_size)

    def is_near(loss: float) -> bool:
        return abs(loss - expected) <= 0.25 * expected + 0.1

    if is_near(first.loss) or is_near(first.loss / first.passes):
        return None
    counted, times = 0, 1
    if first.look is not None and first.look.weights.size:
        counted = int((first.look.weights > 0).sum())
        times = first.look.ids.shape[1]
    weight = 1.0 if first.look is None else float(first.look.weights.sum())
    is_explained = first.look is not None and first.look.explained and counted > 0
    if counted > times and is_near(first.loss / counted):
        cause = f"the loss is a sum over {counted} tokens, not their mean"
        fix = "divide by the number of tokens that count"
    elif is_near(first.loss / times):
        # A mean over rows of a sum over time is a usual loss; it only asks for a smaller rate.
        return None
    elif first.loss > expected:
        if first.loss < 1.5 * expected + 0.5:
            return None
        cause = "the first weights are too large, or the loss takes numbers for logits that are none"
        fix = "smaller first weights"
    elif is_explained and abs(weight * first.passes - 1) < 0.1 and _is_explained_by_outputs(first):
        # The loss is right, so the weights are not fresh.
        return None
    else:
        cause = "the weights are not fresh, the answer is visible, or the loss is divided by too much"
        fix = "look at the divisor of the loss and at what the model reads"
    what = f"loss at step 1; ln {first.vocab_size} = {expected:.3f}"
    return Finding("loss_at_start", 1, first.loss, what, cause, fix)


def _is_explained_by_outputs(step: Observation) -> bool:
    """Return True where a step's loss is the mean of the losses of its targets."""
    details = step.look
    if details is None or not details.weights.any():
        return False
    mean = float((details.weights * details.losses).sum() / details.weights.sum())
    return abs(mean - step.loss) < 0.15 * abs(mean) + 0.05


def softmax_twice(run: WatchedRun) -> Finding | None:
    """A cross entropy that expects logits must not get probabilities.

    Accuses: the model ends in a softmax, and the loss applies another one, so it can never become small.
    Evidence: the loss function expects logits and gets probabilities; or the outputs are probabilities, and
    the loss is the cross entropy of them taken as logits.
    The best possible loss is then ln(1 + (V - 1) / e): one output is 1, all others are 0.
    Healthy: none; logits that are probabilities by chance do not sum to 1 at every position.
    """
    for step, details in run.detailed_steps:
        if details.twice or (details.takes, details.gets) == ("logits", "probabilities"):
            return Finding(
                name="softmax_twice",
                step=step.step,
                number=log(1 + (step.vocab_size - 1) / np.e),
                what="nats, and the loss cannot get below this",
                cause="the model or the loop applies a softmax, and the loss applies another one",
                fix="let the model give logits, or tell the loss that it does not (from_logits=False)",
            )
    return None


def wrong_dimension(run: WatchedRun) -> Finding | None:
    """The softmax must run over the vocabulary, and rows must not read each other.

    Accuses: a softmax over time or batch, a reshape where the axes should be swapped, or a layer that takes
    the batch for time.
    Evidence: the outputs sum to 1 along time or batch and not along V; or the gradient at the logits of a
    position sums to 0 only after a reshape to (B, V, T); or targets agree with the next ids only if one of
    the two is flattened time first; or a row's logits change when other rows are replaced.
    Healthy: batch norm, which makes rows depend on each other in train mode; the probes use evaluation mode.
    """
    return _softmax_over_wrong_axis(run) or _flattened_differently(run) or _rows_mixed(run)


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
        if details.slope > 0.2 and details.reshaped < 0.01:
            return Finding(
                name="wrong_dimension",
                step=step.step,
                number=details.slope,
                what="share of the gradient that a softmax over V cannot give",
                cause="the outputs are reshaped where their axes should be swapped (view for transpose)",
                fix="logits.flatten(0, 1) with targets.flatten(), or logits.transpose(1, 2)",
            )
    return None


def _flattened_differently(run: WatchedRun) -> Finding | None:
    if not run.has_targets or run.agreement(1) >= 0.5 or run.agreement(0) >= 0.5:
        return None
    shares = []
    for step, details in run.detailed_steps:
        rows, length = details.ids.shape
        if rows < 2 or length < 3:
            continue
        next_ids, targets = details.ids[:, 1:], details.targets
        # Outputs flattened time first and targets row first, and the other way round.
        for unmixed in (targets.T.reshape(rows, length), targets.reshape(length, rows).T):
            shares.append((float((unmixed[:, :-1] == next_ids).mean()), step.step))
    share, step = max(shares, default=(0.0, 1))
    if share < 0.9:
        return None
    return Finding(
        name="wrong_dimension",
        step=step,
        number=share,
        what="share of targets that fit once they are flattened as the outputs are",
        cause="outputs and targets are flattened in different orders: one time first, one row first",
        fix="logits.reshape(-1, V) with targets.reshape(-1), both (B, T); no transpose before it",
    )


def _rows_mixed(run: WatchedRun) -> Finding | None:
    if run.agreement(0) >= 0.9 > run.agreement(1):
        # The targets are the ids themselves, so nothing shows which axis is time.
        return None
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
    first loss, or the highest loss is more than 50 % (and 0.5 nats) above it and the last third is no better
    than the start; or the loss is no number after an update larger than half of the weight that it changed.
    Healthy: a short run on batches of very different difficulty.
    """
    losses = [step.loss for step in run.steps]
    first, highest = losses[0], max(losses, key=lambda loss: loss if isfinite(loss) else np.inf)
    if isfinite(highest):
        late = float(np.median(losses[-len(losses) // 3 :]))
        if len(losses) < ENOUGH or (late <= 1.1 * first + 0.1 and highest <= 1.5 * first + 0.5):
            return None
        if late < 0.9 * first:
            # A peak that the loss has left behind.
            return None
    elif run.largest_update() < VIOLENT:
        return None
    ratios = run.update_ratios()
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
