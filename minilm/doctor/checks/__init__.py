"""All checks of the doctor, the gravest first. A finding hides the findings that follow from it.

A check is a function from a run to one finding or None. It reads records and knows no framework. Its
docstring says what it accuses a loop of, what the evidence is, and what a healthy explanation would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minilm.doctor.checks import data, loss, updates
from minilm.doctor.records import Finding, Record
from minilm.doctor.run import WatchedRun

__all__ = ["CHECKS", "examine", "find_blind_checks", "find_notices", "has_core"]

Check = Callable[[WatchedRun], Finding | None]

# Each check, and the checks whose findings follow from its own; "*" means all of them.
CHECKS: tuple[tuple[Check, tuple[str, ...]], ...] = (
    (loss.non_finite, ("*",)),
    (loss.wrong_dimension, ("targets_not_shifted", "shuffled_targets", "padding_counted", "future_visible",
                            "loss_at_start", "dead_tokens", "rate_too_high", "vanishing_norms",
                            "state_leaking")),
    (loss.softmax_twice, ("loss_at_start", "vanishing_norms", "saturated_gates")),
    (data.targets_not_shifted, ("future_visible", "state_leaking")),
    (data.shuffled_targets, ("padding_counted", "dead_tokens", "state_leaking")),
    (data.future_visible, ("padding_counted",)),
    (updates.gradients_not_zeroed, ("exploding_norms", "rate_too_high", "clipping_misplaced",
                                   "saturated_gates")),
    (updates.exploding_norms, ("rate_too_high", "loss_at_start", "saturated_gates")),
    (loss.rate_too_high, ("saturated_gates", "vanishing_norms")),
    (data.padding_counted, ("dead_tokens",)),
    (data.state_leaking, ()),
    (updates.parameters_never_move, ("dead_tokens", "frozen_embedding", "saturated_gates",
                                    "repeated_id_steps", "vanishing_norms")),
    (updates.frozen_embedding, ("dead_tokens",)),
    (updates.saturated_gates, ("vanishing_norms",)),
    (updates.vanishing_norms, ()),
    (updates.clipping_misplaced, ()),
    (loss.modes_mixed, ()),
    (data.dead_tokens, ()),
    (updates.repeated_id_steps, ()),
    (loss.loss_at_start, ()),
    (data.order_repeated, ()),
)  # fmt: skip

# A loss that gets logits for probabilities has any value and any gradient; loss_at_start names the reason.
FOLLOW_FROM_A_MISSING_SOFTMAX = {
    "non_finite", "wrong_dimension", "shuffled_targets", "exploding_norms", "rate_too_high",
    "saturated_gates", "vanishing_norms", "padding_counted", "dead_tokens",
}  # fmt: skip


def examine(records: Iterable[Record]) -> Iterator[Finding]:
    """Yield what is wrong with a run, the likeliest cause first; nothing where all is well.

    Args:
        records: The records of one run, in order.
    """
    run, hidden = WatchedRun.of(records), set()
    if loss.is_softmax_missing(run):
        hidden |= FOLLOW_FROM_A_MISSING_SOFTMAX
    for check, explained in CHECKS:
        if "*" in hidden or check.__name__ in hidden:
            continue
        finding = check(run)
        if finding is not None:
            hidden |= set(explained)
            yield finding


# What a check reads besides losses, gradients and updates; without it the check cannot look.
NEEDS: dict[str, tuple[str, ...]] = {
    "wrong_dimension": ("outputs", "probes"),
    "softmax_twice": ("outputs",),
    "targets_not_shifted": ("outputs", "next ids"),
    "shuffled_targets": ("outputs", "next ids"),
    "future_visible": ("probes", "future"),
    "rate_too_high": ("steps",),
    "padding_counted": ("outputs", "next ids", "probes"),
    "state_leaking": ("probes",),
    "modes_mixed": ("probes",),
    "dead_tokens": ("outputs", "next ids"),
    "order_repeated": ("steps",),
}

# The fewest steps after which the course of a run can be judged.
FEWEST_STEPS = 10


def find_blind_checks(run: WatchedRun) -> dict[str, str]:
    """Return the checks that could not look at all they need, each with the reason."""
    missing = {name: reason for name, reason in _missing_parts(run).items() if reason}
    blind = {}
    for check, _ in CHECKS:
        reasons = [missing[need] for need in NEEDS.get(check.__name__, ()) if need in missing]
        if reasons:
            blind[check.__name__] = reasons[0]
    return blind


def _missing_parts(run: WatchedRun) -> dict[str, str]:
    """Return why a part of a run is missing; "" where it is there."""
    unseen = next((step.unseen for step in run.steps if step.unseen), "no step was measured closely")
    has_outputs = any(details.ids.size for _, details in run.detailed_steps)
    next_ids = "" if run.has_targets or not has_outputs else "the net answers only once per row, (B, V)"
    if any(details.ids.shape[1] > 1 for _, details in run.detailed_steps):
        next_ids = "" if run.has_targets else "the loss is not the cross entropy of the outputs"
    probes = next((one.unseen for one in run.probes if one.unseen), "")
    if not run.probes:
        probes = "the net was not read again at the end"
    few = f"the run has fewer than {FEWEST_STEPS} steps" if len(run.steps) < FEWEST_STEPS else ""
    return {
        "outputs": "" if has_outputs else unseen,
        "next ids": next_ids,
        "probes": probes,
        "future": "the net answers only once per row, (B, V)"
        if any(one.blind_to_future for one in run.probes)
        else "",
        "steps": few,
    }


def has_core(run: WatchedRun) -> bool:
    """Return True where loss, gradients and updates were seen: the least that a clean bill needs."""
    has_loss = any(step.loss == step.loss for step in run.steps)
    has_updates = any(details.updates for _, details in run.detailed_steps)
    return has_loss and any(step.raw for step in run.steps) and has_updates


def find_notices(run: WatchedRun) -> Iterator[str]:
    """Yield what is unusual in a run but may be on purpose, and how it ended before its time."""
    frozen = sorted({name for step in run.steps for name in step.frozen})
    if frozen:
        yield f"{len(frozen)} parameters are frozen, for example {frozen[0]}"
    rates = [step.rate for step in run.steps if step.rate is not None]
    if rates and rates[0] < 0.1 * max(rates):
        yield f"the rate grows from {rates[0]:.3g} to {max(rates):.3g} (a warm-up?)"
    if rates and rates[-1] < 0.01 * max(rates):
        yield f"the rate falls from {max(rates):.3g} to {rates[-1]:.3g} (a decay to 0?)"
    if len(run.steps) > FEWEST_STEPS and len({step.batch for step in run.steps}) == 1:
        yield "every step trains on the same batch (all the data, or a first test?)"
    if run.ending is not None and run.ending.seconds:
        yield f"the file was stopped after {run.ending.seconds} s; more --seconds shows more"
    elif run.ending is not None:
        yield f"the file failed in step {len(run.steps) + 1}: {run.ending.error}"
