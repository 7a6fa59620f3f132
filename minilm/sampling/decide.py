"""Run the stages, keep the ledger, let the draw fall: one Decision, with every number it was made from.

Pure: equal logits, context, stages and draw give an equal Decision. The ledger is kept in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.numerics import adaptive_k, rank
from minilm.records import Array, Candidate, Decision, Distribution, Removal, StageEffect
from minilm.sampling.scores import Context, Scores, look_up, places
from minilm.sampling.stages import Stage, Temperature

__all__ = ["decide"]

_LARGEST_K = 64  # the largest k that adaptive_k reports, so that sorting the best 64 is enough


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """The scores after one stage, with their log-sum-exp and entropy."""

    scores: Scores
    lse: float
    entropy: float

    def p(self, values: Array) -> Array:
        """Probabilities of some scores, in float64."""
        return np.exp(values.astype(np.float64) - self.lse)


def decide(
    logits: Array,
    context: Context,
    stages: Sequence[Stage],
    u: float | None,
    texts: Callable[[int], tuple[str, bytes]],
    *,
    top: int = 10,
    watch: Sequence[int] = (),
    forced: int | None = None,
) -> Decision:
    """Choose the token that follows.

    logits: (V,); u: the draw in [0, 1), or None to take the best survivor; texts: id -> (text, bytes);
    top: how many candidates to show; watch: ids that are followed through every stage; forced: the
    token to take whatever the draw says. Raises MinilmError where the logits or stages leave nothing.
    """
    logits = np.asarray(logits, dtype=np.float32)
    points = [_point(Scores.of(logits))]
    for stage in stages:
        scores = stage(points[-1].scores, context)
        if not scores.ids.size:
            raise MinilmError(f"{stage!r} removed every token, so none can follow; loosen it")
        points.append(points[-1] if scores is points[-1].scores else _point(scores))
    final = points[-1]
    p_final = final.p(final.scores.values)  # (S,) ascending ids
    place, interval = _fall(p_final, u) if forced is None else _forced(final.scores, p_final, forced)
    chosen = forced if forced is not None else int(final.scores.ids[place])
    best = _best(logits, max(top, _LARGEST_K))
    shown, ranks = _shown(logits, best[:top], [chosen, *watch])
    ledger = _Ledger.of(points, stages, shown)
    candidates = _candidates(logits, points, stages, context, ledger, shown, ranks, texts)
    picked = candidates[shown.tolist().index(chosen)]
    u = None if forced is not None else u
    return Decision(
        candidates=candidates,
        stages=ledger.effects(chosen, watch),
        survivors=final.scores.ids.size,
        raw=_distribution(points[0], points[0].p(logits[best])),
        final=_distribution(final, p_final),
        u=u,
        interval=interval,
        margin=None if u is None or interval is None else min(u - interval[0], interval[1] - u),
        chosen=picked,
        reason=_reason(picked, candidates, final.scores.ids.size, u, forced is not None),
        forced=forced is not None,
    )


def _point(scores: Scores) -> _Point:
    values = scores.values.astype(np.float64)
    top = float(np.maximum.reduce(values))
    values -= top
    powers = np.exp(values)
    total = float(np.add.reduce(powers))
    entropy = math.log(total) - float(powers.dot(values)) / total
    return _Point(scores, top + math.log(total), max(entropy, 0.0))


def _fall(p: Array, u: float | None) -> tuple[int, tuple[float, float]]:
    """The place in p (S,) on whose interval of the cumulative distribution u falls."""
    if u is None:
        place = int(np.argmax(p))
    ends = np.cumsum(p)
    ends /= ends[-1]
    if u is not None:
        place = int(np.searchsorted(ends, u, side="right"))
    return place, (float(ends[place - 1]) if place else 0.0, float(ends[place]))


def _forced(scores: Scores, p: Array, token_id: int) -> tuple[int, tuple[float, float] | None]:
    """Place and interval of a token that was not drawn; no interval where it did not survive."""
    found = places(scores, [token_id])
    if not found.size:
        return -1, None
    ends = np.cumsum(p)
    place = int(found[0])
    return place, (float(ends[place] - p[place]) / float(ends[-1]), float(ends[place] / ends[-1]))


def _best(logits: Array, n: int) -> Array:
    """The ids of the n largest logits, best first, the lower id first among equals."""
    if logits.size <= 2 * n:
        return np.argsort(-logits, kind="stable")[:n]
    some = np.flatnonzero(logits >= np.partition(logits, logits.size - n)[logits.size - n])
    return some[np.argsort(-logits[some], kind="stable")][:n]


def _shown(logits: Array, best: Array, wanted: Sequence[int]) -> tuple[Array, list[int]]:
    """The ids of the candidates, best first, and their ranks over the whole vocabulary."""
    ids = best.tolist()
    extra = sorted({(rank(logits, i), i) for i in wanted if i not in ids})
    ids += [i for _, i in extra]
    return np.array(ids), [*range(1, len(best) + 1), *(r for r, _ in extra)]


def _distribution(point: _Point, p: Array) -> Distribution:
    k, mass = adaptive_k(p, maximum=_LARGEST_K)
    return Distribution(point.entropy, k, min(mass, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Ledger:
    """What each stage did to the shown candidates.

    logp: one (C,) array per point, before the first stage and after each, -inf where removed.
    """

    points: Sequence[_Point]
    stages: Sequence[Stage]
    ids: Array
    logp: list[Array]

    @classmethod
    def of(cls, points: Sequence[_Point], stages: Sequence[Stage], ids: Array) -> _Ledger:
        logp: list[Array] = []
        for number, point in enumerate(points):
            same = number and point is points[number - 1]
            logp.append(logp[-1] if same else _logp(point, ids))
        return cls(points, stages, ids, logp)

    def effects(self, chosen: int, watch: Sequence[int]) -> tuple[StageEffect, ...]:
        places_of = {i: n for n, i in enumerate(self.ids.tolist())}
        rows = [logp.tolist() for logp in self.logp]
        result = []
        for n, stage in enumerate(self.stages):
            before, after = self.points[n], self.points[n + 1]
            change = {i: _change(rows[n][places_of[i]], rows[n + 1][places_of[i]]) for i in (chosen, *watch)}
            watched = {i: change[i] for i in watch}
            kept = _mass_kept(before, after, stage.truncates)
            size = after.scores.ids.size
            result.append(StageEffect(stage.label, size, kept, after.entropy, change[chosen], watched))
        return tuple(result)


def _logp(point: _Point, ids: Array) -> Array:
    found, there = look_up(point.scores, ids)
    return np.where(there, point.scores.values[found].astype(np.float64) - point.lse, -np.inf)


def _change(before: float, after: float) -> float | None:
    return None if -np.inf in (before, after) else after - before


def _mass_kept(before: _Point, after: _Point, truncated: bool) -> float:
    """Share of the probability before a stage that its survivors held."""
    if after.scores.ids.size == before.scores.ids.size:
        return 1.0
    if truncated:
        return min(math.exp(after.lse - before.lse), 1.0)
    old = before.scores.values[places(before.scores, after.scores.ids)]
    return min(float(np.add.reduce(before.p(old))), 1.0)


def _candidates(
    logits: Array,
    points: Sequence[_Point],
    stages: Sequence[Stage],
    context: Context,
    ledger: _Ledger,
    shown: Array,
    ranks: Sequence[int],
    texts: Callable[[int], tuple[str, bytes]],
) -> tuple[Candidate, ...]:
    model = ledger.logp[0]
    tempered = next((n + 1 for n, s in enumerate(stages) if isinstance(s, Temperature)), 0)
    columns = zip(
        shown.tolist(),
        logits[shown].tolist(),
        np.exp(model).tolist(),
        model.tolist(),
        np.exp(ledger.logp[tempered]).tolist(),
        np.exp(ledger.logp[-1]).tolist(),
        ranks,
        _removals(points, stages, context, ledger, shown),
        strict=True,
    )
    return tuple(
        Candidate(i, *texts(i), logit, p, logp, p_tempered, p_final, place, removed)
        for i, logit, p, logp, p_tempered, p_final, place, removed in columns
    )


def _removals(
    points: Sequence[_Point], stages: Sequence[Stage], context: Context, ledger: _Ledger, shown: Array
) -> list[Removal | None]:
    """For each shown candidate the stage that removed it, with its number, or None."""
    removed: list[Removal | None] = [None] * shown.size
    if ledger.logp[0].min() == -np.inf:
        for place in np.flatnonzero(ledger.logp[0] == -np.inf).tolist():
            removed[place] = Removal("model", "its logit is -inf")
    for n, stage in enumerate(stages):
        if points[n + 1] is points[n]:
            continue
        gone = ((ledger.logp[n + 1] == -np.inf) & (ledger.logp[n] > -np.inf)).nonzero()[0].tolist()
        if gone:
            reasons = stage.reasons(points[n].scores, context, shown[gone])
            for place, why in zip(gone, reasons, strict=True):
                removed[place] = Removal(stage.label, why)
    return removed


def _reason(
    chosen: Candidate, candidates: Sequence[Candidate], survivors: int, u: float | None, forced: bool
) -> str:
    """A sentence made from the facts of the decision."""
    if forced:
        fate = f"; {chosen.removed_by.stage} had removed it" if chosen.removed_by else ""
        return f"forced by hand{fate}"
    if survivors == 1:
        return "the only survivor" + ("" if chosen.rank == 1 else f", rank {chosen.rank} for the model")
    if u is None:
        return "taken as the best of the survivors"
    if chosen.rank == 1:
        return "drawn, and the most likely one"
    likelier = chosen.rank - 1
    return f"drawn, though {likelier} token{'s were' if likelier > 1 else ' was'} likelier"
