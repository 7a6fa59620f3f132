"""The brief text of a record: the token that was read, the first candidates, what happened to them, and why.

full.py shows everything that a record carries.
"""

from __future__ import annotations

from minilm.faces.layout import WIDTH, align, clip, count_cells, pad, wrap_line
from minilm.faces.numerals import count, fixed, interval, probability, signed, vector
from minilm.faces.visible import piece, visible
from minilm.records import Candidate, Decision, Embedding, Removal, Step, TrainStep

__all__ = [
    "FINISHES",
    "brief_candidates",
    "candidate_line",
    "candidate_note",
    "decision_lines",
    "ending",
    "read_line",
    "summary",
    "train_lines",
    "watched_ids",
]

FINISHES = {
    "eos": "the model ended the text (its end-of-sequence token)",
    "stop": "a stop string appeared",
    "constraint": "the constraint leaves nothing that could follow",
    "length": "the limit of new tokens was reached",
    "context": "the model's context is full",
}
"""The finish reasons of a Step in words."""

_TOKEN = 26  # cells of a token's text in a list


def read_line(step: Step, digits: int = 2) -> str:
    """Return the first line of a step: the token that was read, and its embedding."""
    branch = f" branch {step.branch}" if step.branch else ""
    token = clip(piece(step.text, step.bytes), 32)
    return f"step {step.index + 1}{branch}  read {token} id {step.id}  {_embedding(step.embedding, digits)}"


def _embedding(embedding: Embedding, digits: int) -> str:
    shape = ",".join(str(size) for size in embedding.shape) + ("," if len(embedding.shape) == 1 else "")
    cosine = "–" if embedding.cosine is None else signed(embedding.cosine, digits)
    return f"emb ({shape}) norm {fixed(embedding.norm, digits)} cos {cosine} {vector(embedding.vector)}"


def watched_ids(decision: Decision) -> frozenset[int]:
    """Return the ids that are watched in the ledger of a decision."""
    return frozenset(token_id for effect in decision.stages for token_id in effect.watched)


def brief_candidates(decision: Decision, most: int = 5) -> list[Candidate]:
    """Return the first `most` candidates, then the chosen and the watched ones where they come later."""
    wanted = {decision.chosen.id} | watched_ids(decision)
    listed = list(decision.candidates)
    if all(c.id != decision.chosen.id for c in listed):
        listed.append(decision.chosen)
    return [c for place, c in enumerate(listed) if place < most or c.id in wanted]


def candidate_note(candidate: Candidate, decision: Decision, numbers: bool = False) -> str:
    """Say what happened to a candidate: chosen (and by which draw), cut, watched.

    Args:
        candidate: one candidate of the decision.
        decision: the decision.
        numbers: name also the number by which the stage cut the candidate.
    """
    chosen = candidate.id == decision.chosen.id
    notes = [f"chosen: {_describe_draw(decision)}"] if chosen else []
    if candidate.removed_by:
        notes.append(("though " if chosen else "") + _cut_note(candidate.removed_by, numbers))
    if candidate.id in watched_ids(decision):
        notes.append("watched")
    return ", ".join(notes)


def _cut_note(removal: Removal, numbers: bool = True) -> str:
    """Name the stage that removed a candidate, and the number by which it did."""
    why = f": {removal.why}" if numbers else ""
    return f"cut by {visible(removal.stage + why, keep='')}"


def _describe_draw(decision: Decision) -> str:
    if decision.forced:
        return "forced"
    if decision.u is None or decision.interval is None:
        return "nothing drawn"
    return interval(decision.u, *decision.interval)


def summary(decision: Decision) -> str:
    """Return a line with entropy and adaptive k before and after the stages, and the chosen token's rank."""
    raw, final = decision.raw, decision.final
    entropies = f"entropy {fixed(raw.entropy)} → {fixed(final.entropy)} nats"
    return f" {entropies}   k {raw.k_used} → {final.k_used}   rank {count(decision.chosen.rank)}"


def decision_lines(decision: Decision) -> list[str]:
    """Return the first candidates as a table, and below them the entropies and the reason."""
    rows, notes = [], []
    for candidate in brief_candidates(decision):
        before, after = probability(candidate.p_model), probability(candidate.p_final)
        token = clip(piece(candidate.text, candidate.bytes), _TOKEN)
        rows.append(
            [str(candidate.rank), f"{token} ", "logit", f"{fixed(candidate.logit)} ", "p", before, "→", after]
        )
        notes.append(candidate_note(candidate, decision))
    table = align(rows, "rllrlrll")
    width = max(count_cells(line) for line in table)
    lines = [f" {pad(line, width)}   {note}".rstrip() for line, note in zip(table, notes, strict=True)]
    return [*lines, *_add_reason(summary(decision), decision.reason)]


def _add_reason(facts: str, reason: str) -> list[str]:
    reason = visible(reason, keep="")
    if not reason:
        return [facts]
    if count_cells(facts) + 3 + count_cells(reason) <= WIDTH:
        return [f"{facts}   {reason}"]
    return [facts, *wrap_line(" " + reason, WIDTH, " ")]


def ending(step: Step) -> list[str]:
    """Return a line that says why the run ended, for the last step of a run; none for other steps."""
    return [f" the end: {FINISHES.get(step.finish, visible(step.finish, keep=''))}"] if step.finish else []


def candidate_line(candidate: Candidate) -> str:
    """Return a candidate as one line."""
    token = clip(piece(candidate.text, candidate.bytes), 32)
    change = f"p {probability(candidate.p_model)} → {probability(candidate.p_final)}"
    cut = f"   {_cut_note(candidate.removed_by)}" if candidate.removed_by else ""
    place = f"rank {count(candidate.rank)}   logit {fixed(candidate.logit)}"
    return f"{token} id {candidate.id}   {place}   {change}{cut}"


def train_lines(step: TrainStep) -> list[str]:
    """Return a training step as one line, or two where the numbers are long."""
    held_out = "" if step.validation is None else f"  validation {fixed(step.validation, 4)}"
    clipped = "" if step.clip_factor == 1 else f"  clipped × {step.clip_factor:.3g}"
    loss = f"loss {fixed(step.loss, 4)} nats{held_out}"
    seen = f"{count(step.tokens)} tokens  rate {step.rate:g}{clipped}"
    return wrap_line(f"train step {count(step.index)}  {loss}  {seen}", WIDTH, "  ")
