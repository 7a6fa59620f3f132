"""Checks of the loss and of the modes: its first value, its softmax, its axes, its course."""

from __future__ import annotations

from math import isfinite, log

import numpy as np

from minilm.doctor.records import Finding
from minilm.doctor.run import Run

__all__ = ["loss_at_start", "modes_mixed", "non_finite", "rate_too_high", "softmax_twice", "wrong_dimension"]

MOVED = 1e-4  # of the largest logit: more than rounding

ENOUGH = 10  # steps before the course of a loss is judged


def non_finite(run: Run) -> Finding | None:
    """The first loss or gradient that is no number."""
    for seen in run.steps:
        wrong = [name for name, norm in seen.raw.items() if not isfinite(norm)]
        if isfinite(seen.loss) and not wrong:
            continue
        where = f"the gradient of {wrong[0]}" if isfinite(seen.loss) else "the loss"
        return Finding(
            "non_finite", seen.step, seen.loss, f"{where} is not finite; this is the loss",
            "a division by zero (an empty mask), the log of 0, or numbers that overflow",
            "stop before the update; look at the batch of this step and take log_softmax, not log(softmax)",
        )  # fmt: skip
    return None


def loss_at_start(run: Run) -> Finding | None:
    """Fresh weights know nothing: the first loss is about ln V."""
    first = next(iter(run.steps), None)
    if first is None or first.step != 1 or not isfinite(first.loss):
        return None
    expected = log(first.vocab_size)
    if abs(first.loss - expected) <= 0.25 * expected + 0.1:
        return None
    counted = 0 if first.look is None else int((first.look.weights > 0).sum())
    if counted > 1 and abs(first.loss / counted - expected) < 0.25 * expected:
        cause, fix = (
            f"the loss is a sum over {counted} tokens, not their mean",
            "divide by the tokens that count",
        )
    elif first.loss > expected:
        cause, fix = (
            "the first weights are too large, or what is no logit is taken for one",
            "smaller weights",
        )
    else:
        cause = "the weights are not fresh, the answer is visible, or the loss is divided by too much"
        fix = "look at the divisor of the loss and at what the model reads"
    what = f"loss at step 1; ln {first.vocab_size} = {expected:.3f}"
    return Finding("loss_at_start", 1, first.loss, what, cause, fix)


def softmax_twice(run: Run) -> Finding | None:
    """A cross entropy of logits that is given probabilities can never get small."""
    for seen, look in run.looks:
        if look.twice:
            return Finding(
                "softmax_twice", seen.step, log(1 + (seen.vocab_size - 1) / np.e),
                "nats that the loss cannot get below",
                "the model ends in a softmax and the loss takes another",
                "let the model give logits, or tell the loss that it does not (from_logits=False)",
            )  # fmt: skip
    return None


def wrong_dimension(run: Run) -> Finding | None:
    """Every row and position is a text and a place of its own; the vocabulary is the last axis."""
    for seen, look in run.looks:
        for axis in ("time", "batch"):
            if look.sums.get(axis, 1.0) < 1e-3 < look.sums.get("vocabulary", 0.0):
                what = f"how far the outputs are from summing to 1 along {axis}"
                cause, fix = f"a softmax over {axis} instead of the vocabulary", "softmax(logits, -1)"
                return Finding("wrong_dimension", seen.step, look.sums[axis], what, cause, fix)
        if look.slope > 0.2:
            return Finding(
                "wrong_dimension", seen.step, look.slope,
                "share of the gradient that a softmax over V cannot give",
                "the outputs are reshaped where their axes should be swapped (view for transpose)",
                "logits.flatten(0, 1) against targets.flatten(), or logits.transpose(1, 2)",
            )  # fmt: skip
    for asked in run.probes:
        if asked.rows > MOVED:
            return Finding(
                "wrong_dimension", asked.step, asked.rows,
                "how far logits move when only another row changes",
                "time and batch are swapped: the layer runs from row to row", "batch_first=True",
            )  # fmt: skip
    return None


def rate_too_high(run: Run) -> Finding | None:
    """The loss goes up instead of down, in steps that are large beside the weights."""
    losses = [seen.loss for seen in run.steps]
    if len(losses) < ENOUGH or not all(map(isfinite, losses)):
        return None
    first, late, peak = losses[0], float(np.median(losses[-len(losses) // 3 :])), max(losses)
    if late <= 1.1 * first + 0.1 and peak <= 1.5 * first + 0.5:
        return None
    ratios = [
        look.updates[name] / size for _, look in run.looks for name, size in look.sizes.items()
        if size > 0 and name in look.updates
    ]  # fmt: skip
    rates = [seen.rate for seen in run.steps if seen.rate is not None]
    told = f" at rate {max(rates):g}" if rates else ""
    return Finding(
        "rate_too_high", run.steps[losses.index(peak)].step, peak,
        f"highest loss{told}; it began at {first:.3f}",
        f"an update is typically {np.median(ratios) if ratios else 0:.2g} of the weight that it changes",
        "a tenth of the rate; 0.001 of the weight per update is usual, and 0.1 is too much",
    )  # fmt: skip


def modes_mixed(run: Run) -> Finding | None:
    """Dropout and batch norm work in training, and only there."""
    for seen in run.steps:
        if seen.modal and not seen.training:
            cause = "the model was left in evaluation mode, or training=True was not passed: no dropout"
            what, fix = (
                "training steps outside train mode, until here",
                "model.train() before, model(ids, training=True)",
            )
            return Finding("modes_mixed", seen.step, 1.0, what, cause, fix)
        if seen.tested_in_training:
            what, cause = (
                "evaluations in train mode, until here",
                "dropout is on while the model is only read",
            )
            return Finding(
                "modes_mixed", seen.step, 1.0, what, cause, "model.eval() before, model.train() after"
            )
    for asked in run.probes:
        if asked.chance > MOVED:
            what = "how far the logits of one batch differ in evaluation, read twice"
            cause, fix = (
                "dropout does not obey the mode",
                "functional.dropout(x, p, self.training), or a Dropout layer",
            )
            return Finding("modes_mixed", asked.step, asked.chance, what, cause, fix)
    return None
