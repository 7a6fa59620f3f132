"""Checks of what the model is given: targets, padding, order, state, and what it can see of the future."""

from __future__ import annotations

from collections import Counter

import numpy as np

from minilm.doctor.records import Finding
from minilm.doctor.run import Run

__all__ = [
    "dead_tokens",
    "future_visible",
    "order_repeated",
    "padding_counted",
    "shuffled_targets",
    "state_leaking",
    "targets_not_shifted",
]

SAME = 0.9  # share of targets that must agree before a shift is believed

MOVED = 1e-4  # of the largest logit: more than rounding

OFTEN = 5  # times that a token was met before it is called dead


def targets_not_shifted(run: Run) -> Finding | None:
    """Each target must be the id one place on, not the id itself or one further on."""
    if not run.steps or run.agreement(1) >= SAME:
        return None
    shares = {shift: run.agreement(shift) for shift in (0, 2, 3, -1)}
    shift = max(shares, key=lambda one: shares[one])
    if shares[shift] < SAME:
        return None
    where = {0: "the id that was just read", -1: "the id before"}.get(shift, f"the id {shift} places on")
    return Finding(
        "targets_not_shifted", run.steps[0].step, shares[shift], f"share of targets that are {where}",
        "inputs and targets are cut alike" if shift < 1 else "the targets are shifted more than once",
        "inputs = ids[:, :-1]; targets = ids[:, 1:]",
    )  # fmt: skip


def shuffled_targets(run: Run) -> Finding | None:
    """Targets that follow from no shift of the inputs belong to other rows, or to none."""
    if not any(look.weights.any() for _, look in run.looks):
        return None
    shares = [run.agreement(shift) for shift in (1, 0, 2, 3, -1)]
    if max(shares) >= 0.5:
        return None
    return Finding(
        "shuffled_targets", run.steps[0].step, shares[0],
        "share of targets that are the next id of their row",
        "inputs and targets were shuffled apart from each other",
        "shuffle rows of ids first, then cut inputs and targets from the same rows",
    )  # fmt: skip


def padding_counted(run: Run) -> Finding | None:
    """Padding must be neither in the loss's sum nor in its divisor, nor read before a token."""
    fix = "loss = (losses * mask).sum() / mask.sum(), or ignore_index with the padding id"
    for seen, look in run.looks:
        padding = run.padded(look.ids)
        share = float(look.weights[padding].sum() / max(look.weights.sum(), 1e-30))
        if share > 0.001:
            cause = f"the targets behind the end of a row (id {run.padding_id}) are learnt like any other"
            return Finding(
                "padding_counted", seen.step, share, "share of the loss that is padding", cause, fix
            )
        counted = look.weights[look.weights > 0]
        kept = len(counted) / look.weights.size
        if 0 < kept < 0.98 and np.allclose(1 / counted, look.weights.size, rtol=1e-3):
            cause = (
                "the masked losses are divided by all places, padding too: the loss shrinks with the padding"
            )
            return Finding("padding_counted", seen.step, kept, "true share of the divisor", cause, fix)
    for asked in run.probes:
        if asked.padding > MOVED:
            return Finding(
                "padding_counted", asked.step, asked.padding,
                "how far padding moves the logits of real tokens",
                "padding stands before the tokens, and the model reads it", "pad on the right",
            )  # fmt: skip
    return None


def future_visible(run: Run) -> Finding | None:
    """An earlier logit must not move when a later id is changed."""
    for asked in run.probes:
        if asked.future > MOVED:
            return Finding(
                "future_visible", asked.step, asked.future,
                "how far logits move when only later ids change, over the largest logit",
                "a bidirectional layer, attention without a causal mask, or a mean over all positions",
                "let each position read only what stands before it",
            )  # fmt: skip
    return None


def state_leaking(run: Run) -> Finding | None:
    """A batch must not begin with the state of another text's end."""
    fix = "start every batch from a zero state, unless its rows go on where the last batch ended"
    for seen in run.steps:
        if seen.carried and seen.continues is not None and seen.continues < 0.5:
            what = "share of rows that go on where the batch before ended"
            cause = "the state of the batch before is handed on, but the rows are other texts"
            return Finding("state_leaking", seen.step, seen.continues, what, cause, fix)
    carries_on = any((seen.continues or 0) >= 0.5 for seen in run.steps)
    for asked in run.probes:
        if asked.repeat > MOVED and not carries_on:
            what = "how far the logits of one batch differ, read twice"
            cause = "the model keeps its state between calls (self.state, or stateful=True)"
            return Finding("state_leaking", asked.step, asked.repeat, what, cause, fix)
    return None


def dead_tokens(run: Run) -> Finding | None:
    """A token that is read and counts must move its row; one that should be predicted must count."""
    still: Counter[int] = Counter()
    lively: set[int] = set()
    for _, look in run.looks:
        read = set(look.ids[look.weights > 0].tolist())
        lively |= {i for i, _, most in look.moved if most > 0}
        still.update({i: count for i, count, most in look.moved if most == 0 and i in read})
    for token, count in still.most_common(1):
        if lively and token not in lively and count >= OFTEN:
            return _dead(
                run, token, count, "read", "its row of the embedding never moves: is it padding_idx?"
            )
    for token, count in _never_wanted(run):
        return _dead(run, token, count, "the next id", "it is left out of the loss: is it ignore_index?")
    return None


def _never_wanted(run: Run) -> list[tuple[int, int]]:
    """The one id, no padding, that is left out of the loss wherever it comes next; [] for a mask by place."""
    left_out: Counter[int] = Counter()
    wanted: set[int] = set()
    for _, look in run.looks:
        following, counts = look.ids[:, 1:], look.weights[:, :-1] > 0
        left_out.update(following[~counts & ~run.padded(following)].tolist())
        wanted |= set(following[counts].tolist())
    return [
        pair for pair in left_out.items() if len(left_out) == 1 and pair[0] not in wanted and pair[1] >= OFTEN
    ]


def _dead(run: Run, token: int, count: int, how: str, cause: str) -> Finding:
    return Finding(
        "dead_tokens", run.steps[0].step, float(count), f"times that id {token} was {how} in vain",
        cause, "give padding an id of its own that no text uses",
    )  # fmt: skip


def order_repeated(run: Run) -> Finding | None:
    """Batches that come round in the same order teach the order."""
    seen = [one.batch for one in run.steps]
    for period in range(1, len(seen) // 2 + 1):
        if len(seen) >= period + 3 and seen[period:] == seen[:-period]:
            cause = (
                "the same batch every time" if period == 1 else "the rows are not shuffled anew each epoch"
            )
            return Finding(
                "order_repeated", run.steps[period].step, float(period),
                "batches after which the same ones come in the same order", cause,
                "shuffle the rows at the start of every epoch (shuffle=True)",
            )  # fmt: skip
    return None
