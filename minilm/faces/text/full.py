"""The full text of a record: every candidate, the ledger stage by stage, the draw, the text's place.

The brief text is in text.py.
"""

from __future__ import annotations

from typing import Any

from minilm.faces.layout import WIDTH, align, cells, clip, wrap
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


def full_lines(record: Any) -> list[str]:
    """The lines of a Step, Decision, Candidate or TrainStep with all that it carries; none of another."""
    if isinstance(record, Step):
        return [*_read(record), *_decision(record.decision), *_text(record)]
    if isinstance(record, Decision):
        return _decision(record)
    if isinstance(record, Candidate):
        return wrap(candidate_line(record), WIDTH, "   ")
    return _train(record) if isinstance(record, TrainStep) else []


def _read(step: Step) -> list[str]:
    raw = " ".join(f"{byte:02x}" for byte in step.bytes) or "none, a special token"
    return [read_line(step, 4), *wrap(f" at position {step.position}   bytes {raw}", WIDTH, "   ")]


def _decision(decision: Decision) -> list[str]:
    return [*_candidates(decision), *_ledger(decision), *_watched(decision), *_facts(decision)]


def _candidates(decision: Decision) -> list[str]:
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
    width = max(map(cells, table)) + 3
    lines = []
    for line, note in zip(table, notes, strict=True):
        first, *others = wrap(note, max(16, WIDTH - 1 - width))
        lines.append(f" {line}{' ' * (width - cells(line))}{first}".rstrip())
        lines += [" " * (width + 1) + other for other in others]
    return lines


def _ledger(decision: Decision) -> list[str]:
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
            lines += wrap(f" {kind}: {visible(effect.note, keep='')}", WIDTH, "   ")
    return lines


def _watched(decision: Decision) -> list[str]:
    lines, known = [], {c.id: piece(c.text, c.bytes) for c in decision.candidates}
    for token_id in sorted(watched_ids(decision)):
        shown = f"{clip(known[token_id], 20)} {token_id}" if token_id in known else f"id {token_id}"
        changes = [_change(effect, token_id) for effect in decision.stages if token_id in effect.watched]
        lines += wrap(f" watched {shown}, log p: " + "   ".join(changes), WIDTH, "   ")
    return lines


def _change(effect: StageEffect, token_id: int) -> str:
    change = effect.watched[token_id]
    return f"{visible(effect.stage, keep='')} {'out' if change is None else signed(change, 4)}"


def _facts(decision: Decision) -> list[str]:
    lines = [f" before  {_distribution(decision.raw)}", f" after   {_distribution(decision.final)}"]
    lines[1] += f"   {count(decision.survivors)} survivor{'s' if decision.survivors > 1 else ''}"
    if decision.u is not None and decision.interval is not None:
        margin = "" if decision.margin is None else f"   margin {decision.margin:.3g}"
        lines.append(f" draw    {interval(decision.u, *decision.interval)}{margin}")
    if decision.fragile:
        lines.append(
            " fragile changes of 1e-5 in the logits, as between frameworks, can choose another token"
        )
    return [*lines, *wrap(f" reason  {visible(decision.reason, keep='')}", WIDTH, " " * 9)]


def _distribution(distribution: Distribution) -> str:
    held = f"k {distribution.k_used} holds {probability(distribution.mass_used)}"
    return f"entropy {fixed(distribution.entropy, 4)} nats   {held}"


def _text(step: Step) -> list[str]:
    added = quoted(step.new_text) if step.new_text else "nothing yet, the character is not complete"
    text = wrap(f" text    {added} at byte {step.offset} of the generated text", WIDTH, " " * 9)
    return [*text, *ending(step)]


def _train(step: TrainStep) -> list[str]:
    size = " × ".join(str(side) for side in step.ids.shape)
    lines = [*train_lines(step), f" batch of {size} ids"]
    if step.losses is not None:
        counted = step.losses if step.targets is None else step.losses[step.targets >= 0]
        low, high = fixed(float(counted.min()), 4), fixed(float(counted.max()), 4)
        lines.append(f" loss per token from {low} to {high} nats{_worst(step)}")
    if step.norms:
        lines += [" " + line for line in norms_text(step).splitlines()]
    return lines


def _worst(step: TrainStep) -> str:
    """Where the highest loss is; ids have no text here, text_train.py shows those that do."""
    if step.targets is None or step.losses is None:
        return ""
    row, at = divmod(int(step.losses.argmax()), step.losses.shape[1])
    return f", the highest for id {int(step.targets[row, at])} in row {row} at {at}"
