"""Check one step on its own: do its numbers follow from each other?

Every check is an identity that an honest record keeps, such as: the changes of log-probability in the ledger
add up to log p_final - log p_model. Numbers over all tokens, such as entropies, are checked in
distributions.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from minilm.records import Candidate, Step
from minilm.trace.audit.distributions import (
    SMALLEST,
    TOLERANCE,
    check_distributions,
    check_embedding,
    differs,
    exp,
    temperature,
    truncates,
)

__all__ = ["IDENTITIES", "check_step"]


def check_step(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the name of every identity that a step breaks, each with what is wrong and the numbers."""
    for identity, check in IDENTITIES.items():
        yield from ((identity, what) for what in check(step))


class _Path(NamedTuple):
    """The labels of the stages, split at the first Temperature; all are `after` where there is none."""

    until: tuple[str, ...]
    t: float | None
    after: tuple[str, ...]


def _changes(step: Step) -> Iterator[tuple[Candidate, list[float | None]]]:
    """Yield the chosen and the watched tokens, with their change of log-probability in every stage."""
    decision = step.decision
    yield decision.chosen, [effect.chosen for effect in decision.stages]
    by_id = {c.id: c for c in decision.candidates}
    for token_id in decision.stages[0].watched if decision.stages else ():
        if token_id in by_id:
            yield by_id[token_id], [effect.watched.get(token_id) for effect in decision.stages]


def _check_candidates(step: Step) -> Iterator[str]:
    """Yield what is wrong with the ids, logits, probabilities and removals of the candidates."""
    found = step.decision.candidates
    if len({c.id for c in found}) < len(found):
        yield "an id is among the candidates twice"
    first = found[0] if found else step.decision.chosen
    for c in found:
        if (c.logit == -math.inf) != (c.logp_model == -math.inf):
            yield f"id {c.id}: logit {c.logit:.9g}, logp_model {c.logp_model:.9g}"
            continue
        # log p_i = z_i - logsumexp(z), so two log-probabilities differ by as much as their logits z.
        below = first.logit - c.logit, first.logp_model - c.logp_model
        if c.logit > -math.inf and differs(*below, abs(c.logit)):
            yield (
                f"id {c.id}: its logit lies {below[0]:.9g} below the first candidate's, its "
                f"logp_model {below[1]:.9g}"
            )
    yield from _check_tempered(step)
    yield from _check_final(step)
    yield from _check_removals(step)


def _split_at_temperature(step: Step) -> _Path:
    labels = tuple(effect.stage for effect in step.decision.stages)
    at = next((n for n, label in enumerate(labels) if temperature(label) is not None), None)
    if at is None:
        return _Path((), None, labels)
    return _Path(labels[: at + 1], temperature(labels[at]), labels[at + 1 :])


def _check_tempered(step: Step) -> Iterator[str]:
    """Without a Temperature p_tempered is p_model; with one it follows from ledger and logits."""
    path, found = _split_at_temperature(step), step.decision.candidates
    if path.t is None:
        for c in found:
            if c.p_tempered != c.p_model:
                yield f"id {c.id}: p_tempered {c.p_tempered:.9g}, p_model {c.p_model:.9g}, and no Temperature"
        return
    for token, changes in _changes(step):
        known = [change for change in changes[: len(path.until)] if change is not None]
        # p_tempered = exp(log p_model + changes up to the Temperature); 0 where removed before.
        expected = exp(token.logp_model + sum(known)) if len(known) == len(path.until) else 0.0
        if differs(token.p_tempered, expected):
            yield f"id {token.id}: p_tempered {token.p_tempered:.9g}, the ledger leads to {expected:.9g}"
    left = [c for c in found if c.p_tempered >= SMALLEST]
    if all(map(truncates, path.until[:-1])):
        for c in left[1:]:
            # ln p_1 - ln p_i = (z_1 - z_i) / T
            below = math.log(left[0].p_tempered) - math.log(c.p_tempered)
            expected = (left[0].logit - c.logit) / path.t
            if differs(below, expected, max(abs(left[0].logit), abs(c.logit)) / path.t):
                yield f"id {c.id}: ln p_tempered lies {below:.9g} below, its logit over T {expected:.9g}"


def _check_final(step: Step) -> Iterator[str]:
    """Check that all survivors rise by one factor, if the stages after the Temperature only remove tokens."""
    after = _split_at_temperature(step).after
    kept = [effect.mass_kept for effect in step.decision.stages[len(step.decision.stages) - len(after) :]]
    mass = math.prod(kept)
    if not all(map(truncates, after)) or not mass:
        return
    for c in step.decision.candidates:
        # p_final = p_tempered / (product of the masses that the stages kept)
        expected = c.p_tempered / mass
        if c.p_final > 0 and differs(c.p_final, expected):
            yield f"id {c.id}: p_final {c.p_final:.9g}, p_tempered over the mass kept {expected:.9g}"


def _check_removals(step: Step) -> Iterator[str]:
    """Check that a token was removed by a stage of the step, the one at which the ledger loses it."""
    labels = [effect.stage for effect in step.decision.stages]
    for c in step.decision.candidates:
        if c.removed_by is None:
            continue
        if c.p_final > 0:
            yield f"id {c.id}: removed by {c.removed_by.stage}, though its p_final is {c.p_final:.9g}"
        if c.removed_by.stage not in (labels if c.logit > -math.inf else ["model"]):
            yield f"id {c.id}: removed by {c.removed_by.stage}, which is no stage of this step that could"
    for token, changes in _changes(step):
        lost = next((label for label, c in zip(labels, changes, strict=True) if c is None), None)
        remover = token.removed_by.stage if token.removed_by else None
        # The model's own -inf has no row in the ledger, so the first stage shows it.
        if lost != (next(iter(labels), None) if remover == "model" else remover):
            yield f"id {token.id}: lost at {lost or 'no stage'} of the ledger, removed by {remover or 'none'}"


def _check_ledger(step: Step) -> Iterator[str]:
    """The changes of log-probability in all stages add up to log p_final - log p_model."""
    for token, changes in _changes(step):
        known = [change for change in changes if change is not None]
        if len(known) < len(changes) or token.p_final < SMALLEST:
            continue
        total, expected = sum(known), math.log(token.p_final) - token.logp_model
        if differs(total, expected):
            yield (
                f"id {token.id}: the changes add up to {total:.9g}, log p final - log p model is "
                f"{expected:.9g}"
            )


def _check_truncations(step: Step) -> Iterator[str]:
    """A stage that only removes tokens raises every survivor by KL(after || before) = -ln(mass kept)."""
    for place, effect in enumerate(step.decision.stages):
        if not truncates(effect.stage) or not effect.mass_kept:
            continue
        expected = -math.log(effect.mass_kept)
        for token, changes in _changes(step):
            change = changes[place]
            if change is not None and differs(change, expected):
                rose = f"log p of id {token.id} rose by {change:.9g}"
                yield f"{effect.stage}: {rose}, -ln(mass kept) is {expected:.9g}"


def _check_probabilities(step: Step) -> Iterator[str]:
    """p_model is e^logp_model, and no kind of probability adds up to more than 1."""
    decision = step.decision
    for c in decision.candidates:
        if differs(c.p_model, exp(c.logp_model)):
            yield f"id {c.id}: p_model {c.p_model:.9g}, e^logp_model {exp(c.logp_model):.9g}"
    for name in ("p_model", "p_tempered", "p_final"):
        total = math.fsum(getattr(c, name) for c in decision.candidates)
        if total > 1 + TOLERANCE:
            yield f"{name} adds up to {total:.9g} over {len(decision.candidates)} candidates"
    left = [c.p_final for c in decision.candidates if c.p_final > 0]
    if len(left) > decision.survivors:
        yield f"{len(left)} candidates have a p_final above 0, {decision.survivors} survived"
    elif len(left) == decision.survivors and differs(math.fsum(left), 1.0):
        yield f"p_final adds up to {math.fsum(left):.9g} over all {len(left)} survivors"


def _check_choice(step: Step) -> Iterator[str]:
    """The chosen token is a candidate that survived, and the draw lies in its interval."""
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
    if differs(high - low, chosen.p_final):
        yield f"the interval is {high - low:.9g} wide, p_final is {chosen.p_final:.9g}"
    if decision.u is not None and not low <= decision.u < high:
        yield f"the draw {decision.u!r} is outside [{low!r}, {high!r})"
    if decision.u is not None and differs(decision.margin or 0.0, min(decision.u - low, high - decision.u)):
        yield f"the margin is {decision.margin!r}, the interval [{low!r}, {high!r}) with {decision.u!r}"


def _check_ends_of_ledger(step: Step) -> Iterator[str]:
    """The last row of the ledger is the final distribution, and no entropy is above that of a flat one."""
    decision = step.decision
    last = decision.stages[-1] if decision.stages else None
    entropy = last.entropy if last else decision.raw.entropy
    if differs(decision.final.entropy, entropy):
        yield f"final entropy {decision.final.entropy:.9g}, after the last stage {entropy:.9g}"
    if last and last.survivors != decision.survivors:
        yield f"{decision.survivors} survivors, {last.survivors} after the last stage"
    for effect in decision.stages:
        # H <= ln(number of tokens), with equality where all are equally likely.
        if effect.entropy > math.log(effect.survivors) + TOLERANCE:
            yield f"{effect.stage}: entropy {effect.entropy:.9g} is above ln({effect.survivors} survivors)"
    ranks = [c.rank for c in decision.candidates]
    if ranks != sorted(set(ranks)):
        yield f"the candidates' ranks do not rise: {ranks}"


IDENTITIES: dict[str, Callable[[Step], Iterator[str]]] = {
    "log-probabilities add up": _check_ledger,
    "KL of a truncation": _check_truncations,
    "probabilities": _check_probabilities,
    "the choice": _check_choice,
    "the ledger's ends": _check_ends_of_ledger,
    "the candidates": _check_candidates,
    "the distributions": check_distributions,
    "the embedding": check_embedding,
}
"""The name of each identity, and the check that yields what is wrong with a step."""
