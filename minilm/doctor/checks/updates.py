"""Checks of gradients and updates: their norms, their clip, and parameters that never change."""

from __future__ import annotations

import re

import numpy as np

from minilm.doctor.records import Finding, Observation
from minilm.doctor.run import WatchedRun, combine_norms

__all__ = [
    "clipping_misplaced",
    "exploding_norms",
    "frozen_embedding",
    "gradients_not_zeroed",
    "parameters_never_move",
    "repeated_id_steps",
    "saturated_gates",
    "vanishing_norms",
]

# Norms that differ by less than this share count as equal.
EQUAL = 1e-3

# A global norm that is huge, and how many times the usual one is a leap.
HUGE, LEAP = 1e3, 100.0

# A global norm that is nothing, and a parameter's share of the largest norm that has vanished.
NOTHING, VANISHED = 1e-7, 1e-6

# An update of this share of its weight is large enough to explain a gradient that explodes later.
LARGE_UPDATE = 0.3

# A rate below this share of the largest is dead; an update below this share of its weight changes nothing.
DEAD_RATE, TINY_UPDATE = 1e-3, 1e-5

# Share of a gate's values at the ends of their range that is too much.
MOST = 0.5


def clipping_misplaced(run: WatchedRun) -> Finding | None:
    """The clip belongs between backward and update, with one factor for all parameters.

    Accuses: gradients are clipped only after the update or before backward, or each parameter is clipped to
    the same norm alone.
    Evidence: every gradient is smaller after the update than the update saw it; or the clip is called only
    while no backward has run; or several parameters have exactly the same norm after the clip, by different
    factors.
    Healthy: a clip by value, which leaves the norms unequal; one parameter that is clipped by itself.
    """
    for step in run.steps:
        finding = _clipped_after_update(step) or _clipped_one_by_one(step)
        if finding is not None:
            return finding
    return _clipped_before_backward(run)


def _clipped_before_backward(run: WatchedRun) -> Finding | None:
    early = [step for step in run.steps if step.clipped_early]
    if len(early) < 2 or len(early) < len(run.steps) - 1:
        return None
    return Finding(
        name="clipping_misplaced",
        step=early[0].step,
        number=combine_norms(early[0].used),
        what="gradient norm that the update used unclipped",
        cause="the gradients are clipped before backward, when there is nothing to clip",
        fix="backward, clip, then optimizer.step()",
    )


def _clipped_after_update(step: Observation) -> Finding | None:
    after = {name: norm for name, norm in (step.after or {}).items() if norm > 0}
    smaller = {name for name, norm in after.items() if norm < step.used.get(name, 0) * (1 - EQUAL)}
    if not smaller or not after.keys() >= step.used.keys():
        return None
    return Finding(
        name="clipping_misplaced",
        step=step.step,
        number=combine_norms(step.used),
        what="gradient norm that the update used unclipped",
        cause=f"clipped to {combine_norms(after):.3g} only after the update",
        fix="backward, clip, then optimizer.step()",
    )


def _clipped_one_by_one(step: Observation) -> Finding | None:
    clipped = {name: norm for name, norm in step.used.items() if 0 < norm < step.raw[name] * (1 - EQUAL)}
    if len(clipped) < 2:
        return None
    factors = [norm / step.raw[name] for name, norm in clipped.items()]
    bound = max(clipped.values())
    equal_norms = all(abs(norm - bound) < EQUAL * bound for norm in clipped.values())
    if not equal_norms or max(factors) <= min(factors) * (1 + 10 * EQUAL):
        return None
    return Finding(
        name="clipping_misplaced",
        step=step.step,
        number=min(factors),
        what=f"smallest of {len(clipped)} unequal clip factors",
        cause=f"each parameter is clipped to {bound:.3g} alone: the direction of the step changes",
        fix="clip the global norm of all parameters at once (global_clipnorm in Keras)",
    )


def gradients_not_zeroed(run: WatchedRun) -> Finding | None:
    """A step's gradient must not contain the gradients of the steps before it.

    Accuses: optimizer.zero_grad() is missing.
    Evidence: in at least two steps, backward added to gradients that the last update had already used.
    Healthy: a loop that accumulates several batches and zeroes after each update.
    """
    stale = [step for step in run.steps if step.leftover > 0]
    if len(stale) < 2:
        return None
    return Finding(
        name="gradients_not_zeroed",
        step=stale[0].step,
        number=stale[0].leftover,
        what="norm of old gradients that backward added to",
        cause="gradients are never set to zero, so they add up over the steps",
        fix="optimizer.zero_grad() before backward()",
    )


def parameters_never_move(run: WatchedRun) -> Finding | None:
    """Every parameter must get an update.

    Accuses: the optimizer does not have the parameter, the graph is cut, or the update is never made.
    Evidence: the parameter changed in none of the detailed steps (at least two), or it cannot get an update
    at all. The embedding alone is left to the check frozen_embedding.
    Evidence for a rate that is too small: no update is more than a hundred-thousandth of its weight, or a
    scheduler keeps the rate below a thousandth of its start for more than half of the run.
    Healthy: layers frozen on purpose (requires_grad=False); a warm-up from 0, where the rate still grows.
    """
    unchanged, names = _unchanged_parameters(run)
    embedding = next((step.embedding for step in run.steps), None)
    if unchanged != names or not names:
        unchanged -= {embedding} if embedding else set()
    if not unchanged:
        return _rate_too_small(run)
    reasons = _reasons(run)
    # A parameter with a known reason is the best example.
    example = min(unchanged, key=lambda name: (name not in reasons, name))
    return Finding(
        name="parameters_never_move",
        step=run.steps[0].step,
        number=float(len(unchanged)),
        what=f"of {len(names)} parameters got no update, for example {example}",
        cause=reasons.get(example) or _likely_reason(run, example),
        fix="give the optimizer every parameter, keep it in the graph, and call its step after backward",
    )


def _rate_too_small(run: WatchedRun) -> Finding | None:
    """Return a finding where every update is far too small, or where a scheduler has killed the rate."""
    rates = [step.rate for step in run.steps if step.rate is not None]
    ratios = run.update_ratios()
    if len(rates) < len(run.steps) or len(rates) < 3 or not ratios:
        return None
    dead = [step for step, rate in zip(run.steps, rates, strict=True) if rate < DEAD_RATE * max(rates)]
    is_killed = len(dead) > len(rates) / 2 and dead[-1] is run.steps[-1] and rates[0] == max(rates)
    if is_killed:
        what = f"rate at the end; it was {max(rates):g} at the start"
        cause = f"a scheduler has lowered the rate to {dead[0].rate:g} by step {dead[0].step}: nothing moves"
        fix = "call the scheduler once per epoch, or lower the rate more slowly"
        return Finding("parameters_never_move", dead[0].step, rates[-1], what, cause, fix)
    if max(ratios) > TINY_UPDATE or rates[-1] > 2 * rates[0]:
        return None
    what = f"median update as a share of its weight, at rate {max(rates):g}"
    cause = "the learning rate is too small: the weights hardly move"
    fix = "a larger rate; 0.001 of the weight per update is usual"
    return Finding("parameters_never_move", run.steps[0].step, float(np.median(ratios)), what, cause, fix)


def frozen_embedding(run: WatchedRun) -> Finding | None:
    """The embedding must learn like every other parameter.

    Accuses: the embedding is not given to the optimizer, or its output is detached.
    Evidence: the embedding changed in none of the detailed steps, and other parameters did.
    Healthy: an embedding that is frozen on purpose (requires_grad=False).
    """
    unchanged, names = _unchanged_parameters(run)
    embedding = next((step.embedding for step in run.steps), None)
    if embedding not in unchanged or unchanged == names:
        return None
    return Finding(
        name="frozen_embedding",
        step=run.steps[0].step,
        number=0.0,
        what=f"largest update of {embedding}",
        cause=_reasons(run).get(embedding) or _likely_reason(run, embedding),
        fix=f"let {embedding} require a gradient, give it to the optimizer, and do not detach its output",
    )


def _unchanged_parameters(run: WatchedRun) -> tuple[set[str], set[str]]:
    """Return the names of parameters that changed in no detailed step, and the names of all."""
    detailed = [details for _, details in run.detailed_steps]
    names = {name for details in detailed for name in details.updates}
    never = {name for name in names if all(details.updates.get(name, 0) == 0 for details in detailed)}
    frozen = {name for step in run.steps for name in step.frozen}
    # An optimizer may be used for the first time after some steps.
    absent = set(run.steps[-1].absent) if run.steps else set()
    unchanged = (never if len(detailed) > 1 else set()) | absent
    return unchanged - frozen, (names | absent) - frozen


def _reasons(run: WatchedRun) -> dict[str, str]:
    """Return why parameters cannot get an update, by name."""
    return dict(run.steps[-1].absent) if run.steps else {}


def _likely_reason(run: WatchedRun, name: str) -> str:
    """Return why a parameter that could get an update did not change."""
    step = run.steps[-1]
    if step.rate == 0:
        return "the learning rate is 0"
    first = next((details for _, details in run.detailed_steps), None)
    if first is not None and first.sizes.get(name) == 0 and step.raw.get(name, 0) == 0:
        return "the first weights are all zero, so every unit computes the same and no gradient passes"
    if step.raw.get(name, 0) > 0:
        return "its gradient is thrown away between backward and update"
    return "its gradient is 0 or absent: it is not used, or it is detached from the loss"


def repeated_id_steps(run: WatchedRun) -> Finding | None:
    """Adam's first step must not depend on how often an id occurs in the batch.

    Accuses: the embedding's gradient reaches Adam as slices, one for each occurrence of an id. Adam squares
    them one by one, so its step is too large by about the root of their number.
    Evidence: in step 1 the embedding of a repeated id changed by more than 1.1 times the learning rate. The
    first step of Adam is at most the rate: m / sqrt(v) = g / |g| after the bias correction.
    Healthy: another optimizer than Adam, or a run that is watched from a later step.
    """
    first = next(iter(run.steps), None)
    if first is None or first.step != 1 or first.look is None or not first.rate:
        return None
    if "adam" not in first.optimizer.lower() or not first.look.moved or first.sliced is False:
        return None
    token, count, change = max(first.look.moved, key=lambda row: row[2])
    # At a rate below 1e-6 float32's rounding is larger than the step.
    if count < 2 or change <= 1.1 * first.rate or first.rate < 1e-6:
        return None
    return Finding(
        name="repeated_id_steps",
        step=1,
        number=change / first.rate,
        what=f"times the rate that the embedding of id {token} changed; √{count} = {count**0.5:.2f}",
        cause=f"the embedding's gradient comes as slices ({count} of this id) that are squared one by one",
        fix="tf.convert_to_tensor(gradient) before clipping and updating",
    )


def exploding_norms(run: WatchedRun) -> Finding | None:
    """The gradient norm must not become huge, nor suddenly much larger than usual.

    Accuses: the gradient grows from step to step back in time, or from layer to layer.
    Evidence: a global norm before clipping above 1000, or above 100 times the median of the steps before
    (at least five).
    Healthy: a loss that is a sum over many tokens has large gradients too; see loss_at_start.
    """
    norms = [combine_norms(step.raw) for step in run.steps]
    for place, norm in enumerate(norms):
        usual = float(np.median(norms[:place])) if place >= 5 else np.inf
        if HUGE < norm < np.inf or LEAP * usual < norm < np.inf:
            step = run.steps[place]
            if place and run.largest_update(step.step) >= LARGE_UPDATE:
                # The updates have thrown the weights away: see rate_too_high.
                return None
            if place and run.is_improving:
                return None
            return Finding(
                name="exploding_norms",
                step=step.step,
                number=norm,
                what="global gradient norm before clipping",
                cause="the gradient grows through time or layers: recurrent weights too large, no gates",
                fix="smaller or orthogonal recurrent weights, an LSTM, and a clip of the global norm",
            )
    return None


def vanishing_norms(run: WatchedRun) -> Finding | None:
    """The gradient must reach the first layer of the net, not only the last.

    Accuses: the gradient shrinks on its way through many layers.
    Evidence: the gradient norms of all parameters of a layer are below a millionth of the largest one, or the
    global norm is below 1e-7.
    Healthy: a loss below 0.1 nats, where little is left to learn; gradients that are exactly 0; one parameter
    of a layer whose gradient must be 0, as the bias of attention's keys, which no softmax can see.
    """
    for step in run.steps:
        layers: dict[str, float] = {}
        for name, norm in step.raw.items():
            layer = re.split(r"[./][^./]*$", name)[0]
            layers[layer] = max(layers.get(layer, 0.0), norm)
        layers = {layer: norm for layer, norm in layers.items() if norm > 0}
        if not layers or step.loss < 0.1:
            continue
        largest, smallest = max(step.raw.values()), min(layers, key=lambda name: layers[name])
        if combine_norms(step.raw) < NOTHING or layers[smallest] < VANISHED * largest:
            return Finding(
                name="vanishing_norms",
                step=step.step,
                number=layers[smallest],
                what=f"gradient norm of {smallest}; the largest is {largest:.2g}",
                cause="the gradient shrinks on its way: many saturated layers, or weights that are too small",
                fix="fewer layers, a residual path, ReLU or gates, or larger first weights",
            )
    return None


def saturated_gates(run: WatchedRun) -> Finding | None:
    """The gates of an LSTM must react to what they read, or no gradient passes through them.

    Accuses: first weights that are too large, or updates that made them so.
    Evidence: more than half of a gate's values are within 1 % of an end of its range, and the loss has not
    fallen; or that holds for all four gates, so that no gradient passes the layer.
    Healthy: a trained LSTM, whose gates and candidates are often open, closed or at ±1 while its loss falls.
    """
    for step, details in run.detailed_steps:
        gate = max(details.gates, key=lambda one: details.gates[one], default=None)
        if gate is None or details.gates[gate] <= MOST:
            continue
        if run.is_improving and min(details.gates.values()) <= MOST:
            continue
        cause = "embedding, kernel or bias of the LSTM is too large"
        if step is not run.steps[0]:
            cause += ", and was not at step 1: the updates are too large"
        return Finding(
            name="saturated_gates",
            step=step.step,
            number=details.gates[gate],
            what=f"share of gate {gate}'s values at 0 or 1",
            cause=cause,
            fix="first weights within ±1/√H, biases 0 (forget 1), or a smaller rate",
        )
    return None
