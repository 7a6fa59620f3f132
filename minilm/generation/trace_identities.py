"""What the numbers of a step owe to one another: the identities of its audit.

They hold for any sampler, to 1e-6; from a step's candidates alone, so that a trace without its logits can
be checked. What the candidates owe to one another is in trace_candidates.py, what the sums over all tokens
owe in trace_sums.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from minilm.generation.trace_candidates import candidates_owe, changes_of
from minilm.generation.trace_numbers import SMALLEST, TOLERANCE, apart, exp, truncates
from minilm.generation.trace_sums import distributions_owe, embedding_owes
from minilm.records import Step

__all__ = ["IDENTITIES", "check_step"]


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
