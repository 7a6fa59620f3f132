"""Checks of gradients and updates: their norms, their clip, and what never moves."""

from __future__ import annotations

import numpy as np

from minilm.doctor.records import Finding, Observation
from minilm.doctor.run import Run, total

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

EQUAL = 1e-3  # norms that differ by less than this share are equal

HUGE, SUDDEN = 1e3, 100.0  # a global norm, and how many times the usual one

NOTHING, FADED = 1e-7, 1e-6  # a global norm, and a parameter's share of the largest

SHUT = 0.5  # share of a gate's values at its ends


def clipping_misplaced(run: Run) -> Finding | None:
    """Clip between gradient and update, all parameters by one factor."""
    for seen in run.steps:
        after = {name: norm for name, norm in (seen.after or {}).items() if norm > 0}
        late = {name for name, norm in after.items() if norm < seen.used.get(name, 0) * (1 - EQUAL)}
        if late and after.keys() >= seen.used.keys():
            return Finding(
                "clipping_misplaced", seen.step, total(seen.used),
                "gradient norm that the update used unclipped",
                f"clipped to {total(after):.3g} only after the update",
                "backward, clip, then optimizer.step()",
            )  # fmt: skip
        clipped = {name: norm for name, norm in seen.used.items() if 0 < norm < seen.raw[name] * (1 - EQUAL)}
        factors = [norm / seen.raw[name] for name, norm in clipped.items()]
        bound = max(clipped.values(), default=0.0)
        alike = all(abs(norm - bound) < EQUAL * bound for norm in clipped.values())
        if len(clipped) > 1 and alike and max(factors) > min(factors) * (1 + 10 * EQUAL):
            return Finding(
                "clipping_misplaced", seen.step, min(factors),
                f"smallest of {len(clipped)} unequal clip factors",
                f"each parameter is clipped to {bound:.3g} alone: the direction of the step changes",
                "clip the global norm of all parameters at once (global_clipnorm in Keras)",
            )  # fmt: skip
    return None


def gradients_not_zeroed(run: Run) -> Finding | None:
    """A step's gradient must not carry the ones before it."""
    stale = [seen for seen in run.steps if seen.leftover > 0]
    if len(stale) < 2:
        return None
    return Finding(
        "gradients_not_zeroed", stale[0].step, stale[0].leftover,
        "norm of old gradients that backward added to",
        "gradients are never set back, so they add up over steps", "optimizer.zero_grad() before backward()",
    )  # fmt: skip


def _still(run: Run) -> tuple[set[str], set[str]]:
    """Names of parameters that moved in no close look, and of all that were watched."""
    looks = [look for _, look in run.looks]
    names = {name for look in looks for name in look.updates}
    missing = {name for seen in run.steps for name in seen.absent}
    never = {name for name in names if all(look.updates.get(name, 0) == 0 for look in looks)}
    return (never if len(looks) > 1 else set()) | missing, names | missing


def parameters_never_move(run: Run) -> Finding | None:
    """Every parameter must get an update."""
    still, names = _still(run)
    table = next((seen.embedding for seen in run.steps), None)
    if still != names or not names:
        still -= {table} if table else set()
    if not still:
        return None
    reasons = {name: why for seen in run.steps for name, why in seen.absent.items()}
    name = min(still, key=lambda one: (one not in reasons, one))
    cause = reasons.get(name) or _why_still(run.steps[-1], name)
    return Finding(
        "parameters_never_move", run.steps[0].step, float(len(still)),
        f"of {len(names)} parameters got no update, {name} for one", cause,
        "give the optimizer every parameter, keep it in the graph, and call its step after backward",
    )  # fmt: skip


def _why_still(seen: Observation, name: str) -> str:
    if seen.rate == 0:
        return "the learning rate is 0"
    if seen.raw.get(name, 0) > 0:
        return "its gradient is thrown away between backward and update"
    return "its gradient is 0 or absent: it is not used, or it is detached from the loss"


def frozen_embedding(run: Run) -> Finding | None:
    """The embedding must learn too."""
    still, names = _still(run)
    table = next((seen.embedding for seen in run.steps), None)
    if table not in still or still == names:
        return None
    reasons = {name: why for seen in run.steps for name, why in seen.absent.items()}
    cause = reasons.get(table) or _why_still(run.steps[-1], table)
    fix = f"let {table} require a gradient, give it to the optimizer, and do not detach its output"
    return Finding("frozen_embedding", run.steps[0].step, 0.0, f"largest update of {table}", cause, fix)


def repeated_id_steps(run: Run) -> Finding | None:
    """Adam's first step moves no number by more than the rate, however often an id stands in the batch."""
    first = next(iter(run.steps), None)
    if first is None or first.step != 1 or first.look is None or not first.rate:
        return None
    if "adam" not in first.optimizer.lower() or not first.look.moved:
        return None
    token, count, most = max(first.look.moved, key=lambda row: row[2])
    if count < 2 or most <= 1.1 * first.rate:
        return None
    return Finding(
        "repeated_id_steps", 1, most / first.rate,
        f"rates that the row of id {token} moved; of {count} in the batch, √{count} = {count**0.5:.2f}",
        "the embedding's gradient comes as slices that are squared one by one, not summed first",
        "tf.convert_to_tensor(gradient) before clipping and updating",
    )  # fmt: skip


def exploding_norms(run: Run) -> Finding | None:
    """The global gradient norm is huge, or leaps."""
    norms = [total(seen.raw) for seen in run.steps]
    for place, norm in enumerate(norms):
        usual = float(np.median(norms[:place])) if place >= 5 else np.inf
        if HUGE < norm < np.inf or SUDDEN * usual < norm < np.inf:
            return Finding(
                "exploding_norms", run.steps[place].step, norm, "global gradient norm before clipping",
                "the gradient grows through time or layers: recurrent weights too large, no gates",
                "smaller or orthogonal recurrent weights, an LSTM, and a clip of the global norm",
            )  # fmt: skip
    return None


def vanishing_norms(run: Run) -> Finding | None:
    """A gradient reaches the end of the net, and not its beginning."""
    for seen in run.steps:
        most = max(seen.raw.values(), default=0.0)
        name = min(
            (name for name in seen.raw if seen.raw[name] > 0), key=lambda one: seen.raw[one], default=None
        )
        if (
            name is None
            or not (total(seen.raw) < NOTHING or seen.raw[name] < FADED * most)
            or seen.loss < 0.1
        ):
            continue
        return Finding(
            "vanishing_norms", seen.step, seen.raw[name],
            f"gradient norm of {name}; the largest is {most:.2g}",
            "the gradient shrinks on its way: many saturating layers, or weights that are too small",
            "fewer layers, a residual path, ReLU or gates, or larger first weights",
        )  # fmt: skip
    return None


def saturated_gates(run: Run) -> Finding | None:
    """A gate at the end of its range lets no gradient through."""
    for seen, look in run.looks:
        gate = max(look.gates, key=lambda one: look.gates[one], default=None)
        if gate is not None and look.gates[gate] > SHUT:
            cause = "embedding, kernel or bias of the LSTM is too large"
            if seen is not run.steps[0]:
                cause += ", and was not at step 1: the updates are too large"
            return Finding(
                "saturated_gates", seen.step, look.gates[gate], f"share of gate {gate}'s values at 0 or 1",
                cause,
                "first weights within ±1/√H, biases 0 (forget 1), or a smaller rate",
            )  # fmt: skip
    return None
