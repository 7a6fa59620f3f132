"""What the candidates of a step owe to one another: logits, probabilities, and what removed them.

A candidate's own numbers are in trace_identities.py, the sums over all tokens in trace_sums.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from minilm.generation.trace_numbers import SMALLEST, apart, exp, temperature, truncates
from minilm.records import Candidate, Step

__all__ = ["candidates_owe", "changes_of"]


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
