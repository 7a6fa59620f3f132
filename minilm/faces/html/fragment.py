"""A record as a card of HTML, with inline styles, for a notebook or inside a page."""

from __future__ import annotations

from minilm.errors import MinilmError
from minilm.faces.html.marks import draw_strip, probability_bar, table, token, vector_strip, words
from minilm.faces.numerals import count, fixed, probability, signed, vector
from minilm.faces.text.brief import FINISHES, brief_candidates, candidate_note, watched_ids
from minilm.records import Candidate, Decision, Embedding, Step, TrainStep

__all__ = ["fragment"]

_CARD = (
    "border:1px solid var(--line,rgba(128,128,128,.35));border-radius:8px;padding:.7em 1em;margin:.7em 0;"
    "overflow-x:auto;line-height:1.45"
)
_DIM = "color:var(--dim,inherit);opacity:.85"


def fragment(record: object, most: int = 8, *, so_far: str | None = None) -> str:
    """Return a record as HTML. Equal records give equal HTML.

    Args:
        record: a Step, Decision, Candidate or TrainStep.
        most: how many candidates to show; the chosen and the watched ones are always among them.
        so_far: the text before this step; if given, it is shown with the new text marked.

    Raises:
        MinilmError: for another record.
    """
    if isinstance(record, Step):
        parts = [
            _render_read(record),
            _render_embedding(record.embedding),
            _render_decision(record.decision, most),
            _render_end(record, so_far),
        ]
    elif isinstance(record, Decision):
        parts = [_render_decision(record, most)]
    elif isinstance(record, Candidate):
        parts = [table(_HEADS, [_candidate_row(record, "")], _SIDES)]
    elif isinstance(record, TrainStep):
        parts = [_render_training(record)]
    else:
        raise MinilmError(
            f"HTML shows a Step, Decision, Candidate or TrainStep, got a {type(record).__name__}"
        )
    return f'<div style="{_CARD}">{"".join(parts)}</div>'


_HEADS, _SIDES = ("rank", "token", "logit", "as the model gave it", "after the stages", ""), "rlrlll"


def _render_read(step: Step) -> str:
    branch = f", branch {step.branch}" if step.branch else ""
    read = f"read {token(step.text, step.bytes)} id {step.id} at position {step.position}{branch}"
    return f'<div><strong style="font-size:1.1em">Step {step.index + 1}</strong> {read}</div>'


def _render_embedding(embedding: Embedding) -> str:
    shape = "(" + ",".join(map(str, embedding.shape)) + ("," if len(embedding.shape) == 1 else "") + ")"
    cosine = "none before" if embedding.cosine is None else signed(embedding.cosine)
    numbers = f"embedding {shape}, norm {fixed(embedding.norm)}, cosine {cosine}, {vector(embedding.vector)}"
    return f'<div style="{_DIM};font-size:.9em">{numbers}</div>{vector_strip(embedding.vector)}'


def _candidate_row(c: Candidate, note: str, chosen: bool = False) -> list[str]:
    before = probability_bar(c.p_model, "var(--before,#9aa5b1)")
    after = probability_bar(c.p_final, "var(--chosen,#E69F00)" if chosen else "var(--after,#0072B2)")
    return [str(c.rank), token(c.text, c.bytes), fixed(c.logit), before, after, note]


def _render_decision(decision: Decision, most: int) -> str:
    rows, stressed = [], None
    for place, c in enumerate(brief_candidates(decision, most)):
        chosen = c.id == decision.chosen.id
        stressed = place if chosen else stressed
        note = candidate_note(c, decision)
        rows.append(_candidate_row(c, words(note), chosen))
    draw = (
        "" if decision.u is None or decision.interval is None else draw_strip(decision.u, *decision.interval)
    )
    raw, final = decision.raw, decision.final
    facts = f"entropy {fixed(raw.entropy)} → {fixed(final.entropy)} nats, k {raw.k_used} → {final.k_used}, "
    facts += f"rank {count(decision.chosen.rank)}: {words(decision.reason)}"
    facts += "; fragile: changes of 1e-5 in the logits can choose another token" if decision.fragile else ""
    shown = table(_HEADS, rows, _SIDES, stressed)
    return f'{shown}<p style="margin:.5em 0">{facts}</p>{draw}{_render_ledger(decision)}'


def _render_ledger(decision: Decision) -> str:
    """Return the ledger, with a column of changes for the chosen token and for each watched one."""
    if not decision.stages:
        return ""
    watched = sorted(watched_ids(decision))
    rows = [["as the model gave it", "", "", fixed(decision.raw.entropy, 3), *[""] * (2 + len(watched))]]
    for effect in decision.stages:
        kept = [count(effect.survivors), probability(effect.mass_kept), fixed(effect.entropy, 3)]
        changes = [_describe_change(effect.chosen)]
        changes += [_describe_change(effect.watched[i]) if i in effect.watched else "" for i in watched]
        note = f'<div style="{_DIM};font-size:.9em">{words(effect.note)}</div>' if effect.note else ""
        cut = "" if effect.cut is None else f"{effect.cut:.3g}"
        rows.append([words(effect.stage) + note, *kept, *changes, cut])
    texts = {c.id: token(c.text, c.bytes) for c in decision.candidates}
    names = [f"log p of {texts.get(i, '')} id {i}" for i in watched]
    heads = ("stage", "survivors", "mass kept", "entropy", "log p of the chosen", *names, "to its cut")
    inner = table(heads, rows, "lrrrr" + "r" * (1 + len(watched)))
    return f'<details style="margin:.5em 0"><summary>stage by stage</summary>{inner}</details>'


def _describe_change(change: float | None) -> str:
    """Return the change of a log-probability in a stage; "out" where the stage removed the token."""
    return "out" if change is None else signed(change, 3)


def _render_end(step: Step, so_far: str | None) -> str:
    parts = []
    if so_far is not None:
        style = "background:var(--new,rgba(230,159,0,.3));color:inherit;padding:0 .1em;border-radius:3px"
        new = f'<mark style="{style}">{words(step.new_text)}</mark>'
        parts.append(f'<p style="margin:.5em 0;white-space:pre-wrap">{words(so_far)}{new}</p>')
    if step.finish:
        parts.append(f"<p><strong>The end:</strong> {words(FINISHES.get(step.finish, step.finish))}</p>")
    return "".join(parts)


def _render_training(step: TrainStep) -> str:
    held_out = "" if step.validation is None else f", validation {fixed(step.validation, 4)}"
    clipped = "" if step.clip_factor == 1 else f", gradients clipped × {step.clip_factor:.3g}"
    seen = f"{count(step.tokens)} tokens, rate {step.rate:g}{clipped}"
    loss = f"loss {fixed(step.loss, 4)} nats{held_out}; {seen}"
    head = f"<div><strong>Training step {count(step.index)}</strong> {loss}</div>"
    if not step.norms:
        return head
    rows = [
        [words(name), *(f"{n:.3g}" for n in (norms.gradient, norms.update, norms.weight, norms.ratio))]
        for name, norms in step.norms.items()
    ]
    heads = ("parameter", "gradient", "update", "weight", "update/weight")
    return head + table(heads, rows, "lrrrr")
