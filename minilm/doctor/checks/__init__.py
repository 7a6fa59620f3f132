"""All checks of the doctor, the gravest first. A finding hides the findings that follow from it.

A check is a function from a run to one finding or None. It reads records and knows no framework. Its
docstring says what it accuses a loop of, what the evidence is, and what a healthy explanation would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minilm.doctor.checks import data, loss, updates
from minilm.doctor.records import Finding, Record
from minilm.doctor.run import WatchedRun

__all__ = ["CHECKS", "examine"]

Check = Callable[[WatchedRun], Finding | None]

# Each check, and the checks whose findings follow from its own; "*" means all of them.
CHECKS: tuple[tuple[Check, tuple[str, ...]], ...] = (
    (loss.non_finite, ("*",)),
    (loss.wrong_dimension, ("targets_not_shifted", "shuffled_targets", "padding_counted", "future_visible",
                            "loss_at_start", "dead_tokens", "rate_too_high", "vanishing_norms")),
    (loss.softmax_twice, ("loss_at_start", "vanishing_norms")),
    (data.targets_not_shifted, ("future_visible",)),
    (data.shuffled_targets, ("padding_counted", "dead_tokens")),
    (data.future_visible, ("padding_counted",)),
    (updates.gradients_not_zeroed, ("exploding_norms", "rate_too_high", "clipping_misplaced",
                                   "saturated_gates")),
    (updates.exploding_norms, ("rate_too_high", "loss_at_start", "saturated_gates")),
    (loss.rate_too_high, ("saturated_gates", "vanishing_norms")),
    (data.padding_counted, ()),
    (data.state_leaking, ()),
    (updates.parameters_never_move, ()),
    (updates.frozen_embedding, ("dead_tokens",)),
    (updates.saturated_gates, ("loss_at_start", "vanishing_norms")),
    (updates.vanishing_norms, ()),
    (updates.clipping_misplaced, ()),
    (loss.modes_mixed, ()),
    (data.dead_tokens, ()),
    (updates.repeated_id_steps, ()),
    (loss.loss_at_start, ()),
    (data.order_repeated, ()),
)  # fmt: skip


def examine(records: Iterable[Record]) -> Iterator[Finding]:
    """Yield what is wrong with a run, the likeliest cause first; nothing where all is well.

    Args:
        records: The records of one run, in order.
    """
    run, hidden = WatchedRun.of(records), set()
    for check, explained in CHECKS:
        if "*" in hidden or check.__name__ in hidden:
            continue
        finding = check(run)
        if finding is not None:
            hidden |= set(explained)
            yield finding
