"""What the candidates of a step owe to one another: logits, probabilities, and what removed them.

A candidate's own numbers are in trace_identities.py, the sums over all tokens in trace_sums.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from minilm.records import Candidate, Step
from minilm.trace.audit.distributions import (
    SMALLEST,
    TOLERANCE,
    apart,
    distributions_owe,
    embedding_owes,
    exp,
    temperature,
    truncates,
)

__all__ = ["IDENTITIES", "candidates_owe", "changes_of", "check_step"]


class _Path(NamedTuple):
    """The labels up to the first Temperature and after it, and its number; all are after where none is."""

    until: tuple[str, ...]
    t: float | None
    after: tuple[str, ...]


def changes_of(step: Step) -> Iterator[tuple[Candidate, list[float | None]]]:
    """The chosen and the watched tokens, with their change of log-probability in every stage."""
    decision = step.decision
    yield decision.chosen, [effect.chosen for effect in decision.stages]
    by_id = {c.id: c for c in decision.candidates}
    for token_id in decision.stages[0].watched if decision.stages else ():
        if token_id in by_id:
            yield by_id[token_id], [effect.watched.get(token_id) for effect in decision.stages]


def candidates_owe(step: Step) -> Iterator[str]:
    """Ids, logits, probabilities and removals of the candidates."""
    found = step.decision.candidates
    if len({c.id for c in found}) < len(found):
        yield "an id stands among the candidates twice"
    first = found[0] if found else step.decision.chosen
    for c in found:
        if (c.logit == -math.inf) != (c.logp_model == -math.inf):
            yield f"id {c.id}: logit {c.logit:.9g}, logp_model {c.logp_model:.9g}"
        elif c.logit > -math.inf and apart(
            c.logit - first.logit, c.logp_model - first.logp_model, abs(c.logit)
        ):
            yield (
                f"id {c.id}: its logit lies {first.logit - c.logit:.9g} below the first candidate's, its "
                f"logp_model {first.logp_model - c.logp_model:.9g}"
            )
    yield from _tempered(step)
    yield from _final(step)
    yield from _removals(step)


def _path(step: Step) -> _Path:
    labels = tuple(effect.stage for effect in step.decision.stages)
    at = next((n for n, label in enumerate(labels) if temperature(label) is not None), None)
    if at is None:
        return _Path((), None, labels)
    return _Path(labels[: at + 1], temperature(labels[at]), labels[at + 1 :])


def _tempered(step: Step) -> Iterator[str]:
    """p_tempered is p_model without a Temperature; with one, the ledger and the logits lead to it."""
    path, found = _path(step), step.decision.candidates
    if path.t is None:
        for c in found:
            if c.p_tempered != c.p_model:
                yield f"id {c.id}: p_tempered {c.p_tempered:.9g}, p_model {c.p_model:.9g}, and no Temperature"
        return
    for token, changes in changes_of(step):
        known = [change for change in changes[: len(path.until)] if change is not None]
        owed = exp(token.logp_model + sum(known)) if len(known) == len(path.until) else 0.0
        if apart(token.p_tempered, owed):
            yield f"id {token.id}: p_tempered {token.p_tempered:.9g}, the ledger leads to {owed:.9g}"
    left = [c for c in found if c.p_tempered >= SMALLEST]
    if all(map(truncates, path.until[:-1])):
        for c in left[1:]:
            fell = math.log(left[0].p_tempered) - math.log(c.p_tempered)
            owed = (left[0].logit - c.logit) / path.t
            if apart(fell, owed, max(abs(left[0].logit), abs(c.logit)) / path.t):
                yield f"id {c.id}: ln p_tempered lies {fell:.9g} below, its logit over T {owed:.9g}"


def _final(step: Step) -> Iterator[str]:
    """Where stages only remove after p_tempered, all that is left rises alike."""
    after = _path(step).after
    kept = [effect.mass_kept for effect in step.decision.stages[len(step.decision.stages) - len(after) :]]
    if not all(map(truncates, after)) or not math.prod(kept):
        return
    left = math.prod(kept)
    for c in step.decision.candidates:
        owed = c.p_tempered / left
        if c.p_final > 0 and apart(c.p_final, owed):
            yield f"id {c.id}: p_final {c.p_final:.9g}, p_tempered over the mass kept {owed:.9g}"


def _removals(step: Step) -> Iterator[str]:
    labels = [effect.stage for effect in step.decision.stages]
    for c in step.decision.candidates:
        if c.removed_by is None:
            continue
        if c.p_final > 0:
            yield f"id {c.id}: removed by {c.removed_by.stage}, though its p_final is {c.p_final:.9g}"
        if c.removed_by.stage not in (labels if c.logit > -math.inf else ["model"]):
            yield f"id {c.id}: removed by {c.removed_by.stage}, which is no stage of this step that could"
    for token, changes in changes_of(step):
        lost = next((label for label, c in zip(labels, changes, strict=True) if c is None), None)
        said = token.removed_by.stage if token.removed_by else None
        if lost != (next(iter(labels), None) if said == "model" else said):
            yield f"id {token.id}: lost at {lost or 'no stage'} of the ledger, removed by {said or 'none'}"


def check_step(step: Step) -> Iterator[tuple[str, str]]:
    """The identities that a step breaks on its own, each with the numbers."""
    for identity, check in IDENTITIES.items():
        yield from ((identity, what) for what in check(step))


def _ledger(step: Step) -> Iterator[str]:
    for token, changes in changes_of(step):
        known = [change for change in changes if change is not None]
        if len(known) < len(changes) or token.p_final < SMALLEST:
            continue
        total, owed = sum(known), math.log(token.p_final) - token.logp_model
        if apart(total, owed):
            yield f"id {token.id}: the changes add up to {total:.9g}, log p final - log p model is {owed:.9g}"


def _kl(step: Step) -> Iterator[str]:
    for place, effect in enumerate(step.decision.stages):
        if not truncates(effect.stage) or not effect.mass_kept:
            continue
        owed = -math.log(effect.mass_kept)
        for token, changes in changes_of(step):
            change = changes[place]
            if change is not None and apart(change, owed):
                rose = f"log p of id {token.id} rose by {change:.9g}"
                yield f"{effect.stage}: {rose}, -ln(mass kept) is {owed:.9g}"


def _probabilities(step: Step) -> Iterator[str]:
    decision = step.decision
    for c in decision.candidates:
        if apart(c.p_model, exp(c.logp_model)):
            yield f"id {c.id}: p_model {c.p_model:.9g}, e^logp_model {exp(c.logp_model):.9g}"
    for name in ("p_model", "p_tempered", "p_final"):
        total = math.fsum(getattr(c, name) for c in decision.candidates)
        if total > 1 + TOLERANCE:
            yield f"{name} adds up to {total:.9g} over {len(decision.candidates)} candidates"
    left = [c.p_final for c in decision.candidates if c.p_final > 0]
    if len(left) > decision.survivors:
        yield f"{len(left)} candidates have a p_final above 0, {decision.survivors} survived"
    elif len(left) == decision.survivors and apart(math.fsum(left), 1.0):
        yield f"p_final adds up to {math.fsum(left):.9g} over all {len(left)} survivors"


def _choice(step: Step) -> Iterator[str]:
    decision, chosen = step.decision, step.decision.chosen
    if chosen not in decision.candidates:
        yield f"id {chosen.id} is not among the candidates as it is given"
    if not decision.forced and chosen.p_final <= 0:
        yield f"id {chosen.id} was chosen, though its p_final is {chosen.p_final:.9g}"
    if decision.u is not None and decision.forced:
        yield f"the token was forced, though {decision.u!r} was drawn"
    if decision.u is None and decision.margin is not None:
        yield f"nothing was drawn, though the margin is {decision.margin!r}"
    if decision.interval is None:
        if decision.u is not None:
            yield "something was drawn, and there is no interval"
        return
    low, high = decision.interval
    if apart(high - low, chosen.p_final):
        yield f"the interval is {high - low:.9g} wide, p_final is {chosen.p_final:.9g}"
    if decision.u is not None and not low <= decision.u < high:
        yield f"the draw {decision.u!r} is outside [{low!r}, {high!r})"
    if decision.u is not None and apart(decision.margin or 0.0, min(decision.u - low, high - decision.u)):
        yield f"the margin is {decision.margin!r}, the interval [{low!r}, {high!r}) with {decision.u!r}"


def _survivors(step: Step) -> Iterator[str]:
    decision = step.decision
    last = decision.stages[-1] if decision.stages else None
    entropy = last.entropy if last else decision.raw.entropy
    if apart(decision.final.entropy, entropy):
        yield f"final entropy {decision.final.entropy:.9g}, after the last stage {entropy:.9g}"
    if last and last.survivors != decision.survivors:
        yield f"{decision.survivors} survivors, {last.survivors} after the last stage"
    for effect in decision.stages:
        if effect.entropy > math.log(effect.survivors) + TOLERANCE:
            yield f"{effect.stage}: entropy {effect.entropy:.9g} is above ln({effect.survivors} survivors)"
    ranks = [c.rank for c in decision.candidates]
    if ranks != sorted(set(ranks)):
        yield f"the candidates' ranks do not rise: {ranks}"


IDENTITIES: dict[str, Callable[[Step], Iterator[str]]] = {
    "log-probabilities add up": _ledger,
    "KL of a truncation": _kl,
    "probabilities": _probabilities,
    "the choice": _choice,
    "the ledger's ends": _survivors,
    "the candidates": candidates_owe,
    "the distributions": distributions_owe,
    "the embedding": embedding_owes,
}
"""Name of each identity -> what of a step breaks it."""
