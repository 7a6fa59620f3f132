"""Checks of what the model is given: targets, padding, order, state, and what it can see of the future."""

from __future__ import annotations

from collections import Counter

import numpy as np

from minilm.doctor.records import Finding
from minilm.doctor.run import WatchedRun
from minilm.records import Array

__all__ = [
    "dead_tokens",
    "future_visible",
    "order_repeated",
    "padding_counted",
    "shuffled_targets",
    "state_leaking",
    "targets_not_shifted",
]

# Share of the targets that must agree with a shift before it is believed.
MOST = 0.9

# A change of logits above this share of the largest logit is more than rounding.
ROUNDING = 1e-4

# A token must occur this often before it is called dead.
OFTEN = 5


def targets_not_shifted(run: WatchedRun) -> Finding | None:
    """Each target must be the next id, not the id that was just read or one further on.

    Accuses: inputs and targets are cut from the same positions, or the targets are shifted twice (by the data
    and again inside the model or the loss).
    Evidence: at least 90 % of the targets equal the input 0, 2, 3 or -1 positions on, and fewer than 90 %
    equal the next one.
    Healthy: a text that repeats itself agrees with several shifts; then it agrees with the next id too.
    """
    if not run.steps or run.agreement(1) >= MOST:
        return None
    shares = {shift: run.agreement(shift) for shift in (0, 2, 3, -1)}
    shift = max(shares, key=lambda one: shares[one])
    if shares[shift] < MOST:
        return None
    target = {0: "the id that was just read", -1: "the id before"}.get(shift, f"the id {shift} positions on")
    return Finding(
        name="targets_not_shifted",
        step=run.steps[0].step,
        number=shares[shift],
        what=f"share of targets that are {target}",
        cause="inputs and targets are cut at the same positions"
        if shift < 1
        else "the targets are shifted more than once",
        fix="inputs = ids[:, :-1]; targets = ids[:, 1:]",
    )


def shuffled_targets(run: WatchedRun) -> Finding | None:
    """The targets must come from the same rows as the inputs.

    Accuses: rows of inputs and rows of targets were shuffled separately.
    Evidence: the targets agree with no shift of the inputs, from -1 to 3, in half of the positions.
    Healthy: a task whose targets are no text (a class per row, for example); the doctor is made for language
    models.
    """
    if not run.has_targets:
        return None
    shares = [run.agreement(shift) for shift in (1, 0, 2, 3, -1)]
    if max(shares) >= 0.5:
        return None
    return Finding(
        name="shuffled_targets",
        step=run.steps[0].step,
        number=shares[0],
        what="share of targets that are the next id of their row",
        cause="inputs and targets were shuffled separately",
        fix="shuffle rows of ids first, then cut inputs and targets from the same rows",
    )


def padding_counted(run: WatchedRun) -> Finding | None:
    """Padding must not be in the loss's sum, nor in its divisor, nor be read before a token.

    Accuses: the model is trained to predict padding, or the loss shrinks with the amount of padding, or the
    rows are padded on the left.
    Evidence: padding positions have more than 0.1 % of the loss's weights; or each weight is 1 / (B * T)
    although positions are left out; or the logits of real tokens change when padding ids are replaced.
    Healthy: an id that ends most rows but also occurs inside them is not taken for padding.
    """
    return _padding_in_loss(run) or _padding_before_tokens(run)


def _padding_in_loss(run: WatchedRun) -> Finding | None:
    fix = "loss = (losses * mask).sum() / mask.sum(), or ignore_index with the padding id"
    for step, details in run.detailed_steps:
        padding = run.is_padding(details.ids)
        share = float(details.weights[padding].sum() / max(details.weights.sum(), 1e-30))
        if share > 0.001:
            return Finding(
                name="padding_counted",
                step=step.step,
                number=share,
                what="share of the loss that is padding",
                cause=f"the targets after the end of a row (id {run.padding_id}) count like any other",
                fix=fix,
            )
        counted = details.weights[details.weights > 0]
        kept = len(counted) / max(details.weights.size, 1)
        if kept in (0, 1) or not _leaves_out_ends(details.weights):
            continue
        if kept < 0.98 and np.allclose(1 / counted, details.weights.size, rtol=1e-3):
            return Finding(
                name="padding_counted",
                step=step.step,
                number=kept,
                what="share of the divisor that is real tokens",
                cause="the masked losses are divided by all positions, padding too: padding makes it smaller",
                fix=fix,
            )
    return None


def _leaves_out_ends(weights: Array) -> bool:
    """Return True where the loss leaves out only the ends of rows, as padding is."""
    counts = weights > 0
    return bool((counts[:, 1:] <= counts[:, :-1]).all())


def _padding_before_tokens(run: WatchedRun) -> Finding | None:
    for probes in run.probes:
        if probes.padding > ROUNDING:
            return Finding(
                name="padding_counted",
                step=probes.step,
                number=probes.padding,
                what="how far padding changes the logits of real tokens",
                cause="padding comes before the tokens, and the model reads it",
                fix="pad on the right",
            )
    return None


def future_visible(run: WatchedRun) -> Finding | None:
    """A logit must not change when an id after its position is replaced.

    Accuses: the model sees the ids that it should predict, so its loss is too good and generation fails.
    Evidence: the first half's logits change when the second half's ids are replaced.
    Healthy: none in a language model that generates from left to right.
    """
    for probes in run.probes:
        if probes.future > ROUNDING:
            return Finding(
                name="future_visible",
                step=probes.step,
                number=probes.future,
                what="how far logits change when only later ids change, as a share of the largest logit",
                cause="a bidirectional layer, attention without a causal mask, or a mean over all positions",
                fix="let each position read only the positions before it",
            )
    return None


def state_leaking(run: WatchedRun) -> Finding | None:
    """A batch must not start from the state that another text left.

    Accuses: the loop hands the last batch's state on, or the model keeps it itself, although the rows are new
    texts.
    Evidence: a step got a state that is not zero, and fewer than half of its rows go on where the last batch
    ended; or two readings of one batch give different logits; or the second backward fails in the graph of
    the first.
    Healthy: rows that really go on where the last batch ended (truncated backpropagation through time).
    """
    fix = "start every batch from a zero state, unless its rows go on where the last batch ended"
    if run.ending is not None and "backward through the graph a second time" in run.ending.error:
        return Finding(
            name="state_leaking",
            step=run.ending.step + 1,
            number=float(run.ending.step),
            what="steps that ran before backward failed",
            cause="the state handed on still hangs on the graph of the last step, so backward runs into it",
            fix="h = tuple(s.detach() for s in h) before every step (h.detach() for a GRU)",
        )
    for step in () if run.continues_texts else run.steps:
        if step.carried and step.continues is not None and step.continues < 0.5:
            return Finding(
                name="state_leaking",
                step=step.step,
                number=step.continues,
                what="share of rows that go on where the last batch ended",
                cause="the state of the last batch is handed on, but the rows are other texts",
                fix=fix,
            )
    for probes in run.probes:
        if probes.repeat > ROUNDING and not run.continues_texts:
            return Finding(
                name="state_leaking",
                step=probes.step,
                number=probes.repeat,
                what="how far the logits of one batch differ when it is read twice",
                cause="the model keeps its state between calls (self.state, or stateful=True)",
                fix=fix,
            )
    return None


def dead_tokens(run: WatchedRun) -> Finding | None:
    """A token that is read must learn, and a token that comes next must count in the loss.

    Accuses: padding_idx or ignore_index names a real token.
    Evidence: a token was read at least 5 times at positions that count and its embedding never changed, while
    others did; or one token alone, no padding, is left out of the loss each time that it comes next, at least
    5 times.
    Healthy: padding; several tokens that are left out, which is a mask by position.
    """
    return _dead_input(run) or _dead_target(run)


def _dead_input(run: WatchedRun) -> Finding | None:
    unchanged: Counter[int] = Counter()
    changed: set[int] = set()
    for _, details in run.detailed_steps:
        read = set(details.ids[details.weights > 0].tolist())
        changed |= {token for token, _, change in details.moved if change > 0}
        unchanged.update(
            {
                token: count
                for token, count, change in details.moved
                if change == 0 and token in read and token != run.padding_id
            }
        )
    for token, count in unchanged.most_common(1):
        if changed and token not in changed and count >= OFTEN:
            cause = "its embedding never changes: is it padding_idx?"
            return _dead_token(run, token, count, "read", cause)
    return None


def _dead_target(run: WatchedRun) -> Finding | None:
    left_out: Counter[int] = Counter()
    counted: set[int] = set()
    for _, details in run.detailed_steps:
        next_ids, counts = details.ids[:, 1:], details.weights[:, :-1] > 0
        left_out.update(next_ids[~counts & ~run.is_padding(next_ids)].tolist())
        counted |= set(next_ids[counts].tolist())
    for token, count in left_out.items():
        if len(left_out) == 1 and token not in counted and count >= OFTEN:
            return _dead_token(
                run, token, count, "the next id", "the loss leaves it out: is it ignore_index?"
            )
    return None


def _dead_token(run: WatchedRun, token: int, count: int, role: str, cause: str) -> Finding:
    return Finding(
        name="dead_tokens",
        step=run.steps[0].step,
        number=float(count),
        what=f"times that id {token} was {role} without any effect",
        cause=cause,
        fix="give padding an id of its own that no text uses",
    )


def order_repeated(run: WatchedRun) -> Finding | None:
    """The batches must not come in the same order in every epoch.

    Accuses: the rows are not shuffled again for each epoch.
    Evidence: from some step on, every batch equals the batch one period before it, at least three times.
    Healthy: the same batch at every step, which is all the data or a first test of a loop; rows that go on
    where the last batch ended, whose order must stay.
    """
    if run.continues_texts:
        return None
    batches = [step.batch for step in run.steps]
    for period in range(2, len(batches) // 2 + 1):
        is_one_batch = len(set(batches[:period])) == 1
        if len(batches) >= period + 3 and batches[period:] == batches[:-period] and not is_one_batch:
            return Finding(
                name="order_repeated",
                step=run.steps[period].step,
                number=float(period),
                what="batches after which the same ones come in the same order",
                cause="the rows are not shuffled in each epoch",
                fix="shuffle the rows at the start of every epoch (shuffle=True)",
            )
    return None
