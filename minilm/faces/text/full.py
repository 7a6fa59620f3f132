"""The full text of a record: every candidate, the ledger stage by stage, the draw, the place in the text."""

from __future__ import annotations

from minilm.faces.layout import WIDTH, align, clip, count_cells, wrap_line
from minilm.faces.numerals import count, fixed, interval, probability, signed
from minilm.faces.text.brief import (
    candidate_line,
    candidate_note,
    ending,
    read_line,
    train_lines,
    watched_ids,
)
from minilm.faces.text.train import norms_text
from minilm.faces.visible import piece, quoted, visible
from minilm.records import Candidate, Decision, Distribution, StageEffect, Step, TrainStep

__all__ = ["full_lines"]


def full_lines(record: object) -> list[str]:
    """Return all that a Step, Decision, Candidate or TrainStep carries, as lines; none for another record."""
    if isinstance(record, Step):
        return [*_read_lines(record), *_decision_in_full(record.decision), *_text_lines(record)]
    if isinstance(record, Decision):
        return _decision_in_full(record)
    if isinstance(record, Candidate):
        return wrap_line(candidate_line(record), WIDTH, "   ")
    return _training_in_full(record) if isinstance(record, TrainStep) else []


def _read_lines(step: Step) -> list[str]:
    raw = " ".join(f"{byte:02x}" for byte in step.bytes) or "none, a special token"
    return [read_line(step, 4), *wrap_line(f" at position {step.position}   bytes {raw}", WIDTH, "   ")]


def _decision_in_full(decision: Decision) -> list[str]:
    parts = (_candidate_table, _ledger_lines, _watched_lines, _draw_lines)
    return [line for part in parts for line in part(decision)]


def _candidate_table(decision: Decision) -> list[str]:
    listed = list(decision.candidates)
    if all(c.id != decision.chosen.id for c in listed):
        listed.append(decision.chosen)
    rows = [["rank", "id", "token", "logit", "log p", "p model", "tempered", "final"]]
    notes = [""]
    for c in listed:
        numbers = [
            fixed(c.logit, 3),
            fixed(c.logp_model, 3),
            *map(probability, (c.p_model, c.p_tempered, c.p_final)),
        ]
        rows.append([str(c.rank), str(c.id), clip(piece(c.text, c.bytes), 20), *numbers])
        notes.append(candidate_note(c, decision, numbers=True))
    table = align(rows, "rrlrrlll")
    width = max(map(count_cells, table)) + 3
    lines = []
    for line, note in zip(table, notes, strict=True):
        first, *others = wrap_line(note, max(16, WIDTH - 1 - width))
        lines.append(f" {line}{' ' * (width - count_cells(line))}{first}".rstrip())
        lines += [" " * (width + 1) + other for other in others]
    return lines


def _ledger_lines(decision: Decision) -> list[str]:
    rows = [["stage", "survivors", "mass kept", "entropy", "log p of chosen", "to its cut"]]
    rows.append(["(as the model gave it)", "", "", fixed(decision.raw.entropy, 4), "", ""])
    for effect in decision.stages:
        change = "out" if effect.chosen is None else signed(effect.chosen, 4)
        mass = probability(effect.mass_kept)
        label = clip(visible(effect.stage, keep=""), 44)
        cut = "" if effect.cut is None else f"{effect.cut:.3g}"
        rows.append([label, count(effect.survivors), mass, fixed(effect.entropy, 4), change, cut])
    lines = [" " + line.rstrip() for line in align(rows, "lrrrrr", 2)]
    for effect in decision.stages:
        if effect.note:
            kind = effect.stage.partition("(")[0]
            lines += wrap_line(f" {kind}: {visible(effect.note, keep='')}", WIDTH, "   ")
    return lines


def _watched_lines(decision: Decision) -> list[str]:
    lines, known = [], {c.id: piece(c.text, c.bytes) for c in decision.candidates}
    for token_id in sorted(watched_ids(decision)):
        shown = f"{clip(known[token_id], 20)} {token_id}" if token_id in known else f"id {token_id}"
        stages = [effect for effect in decision.stages if token_id in effect.watched]
        changes = "   ".join(_describe_change(effect, token_id) for effect in stages)
        lines += wrap_line(f" watched {shown}, log p: {changes}", WIDTH, "   ")
    return lines


def _describe_change(effect: StageEffect, token_id: int) -> str:
    change = effect.watched[token_id]
    return f"{visible(effect.stage, keep='')} {'out' if change is None else signed(change, 4)}"


def _draw_lines(decision: Decision) -> list[str]:
    before, after = _describe_distribution(decision.raw), _describe_distribution(decision.final)
    survivors = f"{count(decision.survivors)} survivor{'s' if decision.survivors > 1 else ''}"
    lines = [f" before  {before}", f" after   {after}   {survivors}"]
    if decision.u is not None and decision.interval is not None:
        margin = "" if decision.margin is None else f"   margin {decision.margin:.3g}"
        lines.append(f" draw    {interval(decision.u, *decision.interval)}{margin}")
    if decision.fragile:
        lines.append(
            " fragile changes of 1e-5 in the logits, as between frameworks, can choose another token"
        )
    return [*lines, *wrap_line(f" reason  {visible(decision.reason, keep='')}", WIDTH, " " * 9)]


def _describe_distribution(distribution: Distribution) -> str:
    support = f"k {distribution.k_used} holds {probability(distribution.mass_used)}"
    return f"entropy {fixed(distribution.entropy, 4)} nats   {support}"


def _text_lines(step: Step) -> list[str]:
    added = quoted(step.new_text) if step.new_text else "nothing yet, the character is not complete"
    text = wrap_line(f" text    {added} at byte {step.offset} of the generated text", WIDTH, " " * 9)
    return [*text, *ending(step)]


def _training_in_full(step: TrainStep) -> list[str]:
    size = " × ".join(str(side) for side in step.ids.shape)
    lines = [*train_lines(step), f" batch of {size} ids"]
    if step.losses is not None:
        counted = step.losses if step.targets is None else step.losses[step.targets >= 0]
        low, high = fixed(float(counted.min()), 4), fixed(float(counted.max()), 4)
        lines.append(f" loss per token from {low} to {high} nats{_find_highest_loss(step)}")
    if step.norms:
        lines += [" " + line for line in norms_text(step).splitlines()]
    return lines


def _find_highest_loss(step: TrainStep) -> str:
    """Say where the highest loss is; a TrainStep has no texts, so the token is an id."""
    if step.targets is None or step.losses is None:
        return ""
    row, at = divmod(int(step.losses.argmax()), step.losses.shape[1])
    return f", the highest for id {int(step.targets[row, at])} in row {row} at {at}"
