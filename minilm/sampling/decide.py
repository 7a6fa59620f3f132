"""Run the stages, keep the ledger, let the draw fall: one Decision, with every number it was made from.

Pure: equal logits, context, stages and draw give an equal Decision. The ledger is kept in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from minilm.numerics import adaptive_k, rank
from minilm.records import Array, Candidate, Decision, Distribution, Removal
from minilm.sampling.ledger import Ledger
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stages import Stage, Temperature

__all__ = ["decide"]

_LARGEST_K = 64  # the largest k that adaptive_k reports, so that sorting the best 64 is enough


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
    ledger = Ledger.of(logits, stages, context)
    survivors, p_final = ledger.survivors, ledger.p_final
    place, interval = _fall(p_final, u) if forced is None else _forced(survivors, p_final, forced)
    chosen = forced if forced is not None else int(survivors.ids[place])
    best = _best(logits, max(top, _LARGEST_K))
    ids, ranks = _shown(logits, best[:top], [chosen, *watch])
    logp = ledger.follow(ids)  # (stages + 1, C)
    removed = _removals(ledger, context, ids, logp)
    raw, final = ledger.entropies
    candidates = _candidates(logits, stages, ids, ranks, logp, removed, texts)
    picked = candidates[ids.index(chosen)]
    u = None if forced is not None else u
    return Decision(
        candidates=candidates,
        stages=ledger.effects(ids, logp, chosen, watch),
        survivors=survivors.ids.size,
        raw=_distribution(raw, ledger.p_model(best)),
        final=_distribution(final, p_final),
        u=u,
        interval=interval,
        margin=None if u is None or interval is None else min(u - interval[0], interval[1] - u),
        chosen=picked,
        reason=_reason(picked, survivors.ids.size, u, forced is not None),
        forced=forced is not None,
    )


def _fall(p: Array, u: float | None) -> tuple[int, tuple[float, float]]:
    """The place in p (S,) on whose interval of the cumulative distribution u falls."""
    ends = p.cumsum()
    ends /= ends[-1]
    place = int(p.argmax()) if u is None else int(ends.searchsorted(u, side="right"))
    return place, (float(ends[place - 1]) if place else 0.0, float(ends[place]))


def _forced(scores: Scores, p: Array, token_id: int) -> tuple[int, tuple[float, float] | None]:
    """Place and interval of a token that was not drawn; no interval where it did not survive."""
    found = places(scores, [token_id])
    if not found.size:
        return -1, None
    ends = p.cumsum()
    place = int(found[0])
    return place, (float(ends[place] - p[place]) / float(ends[-1]), float(ends[place] / ends[-1]))


def _best(logits: Array, n: int) -> Array:
    """The ids of the n largest logits, best first, the lower id first among equals."""
    if logits.size <= 2 * n:
        return (-logits).argsort(kind="stable")[:n]
    cut = np.partition(logits, logits.size - n)[logits.size - n]
    some = (logits >= cut).nonzero()[0]
    return some[(-logits[some]).argsort(kind="stable")][:n]


def _shown(logits: Array, best: Array, wanted: Sequence[int]) -> tuple[list[int], list[int]]:
    """The ids of the candidates, best first, and their ranks over the whole vocabulary."""
    ids = best.tolist()
    extra = sorted({(rank(logits, i), i) for i in wanted if i not in ids})
    return ids + [i for _, i in extra], [*range(1, len(ids) + 1), *(r for r, _ in extra)]


def _distribution(entropy: float, p: Array) -> Distribution:
    k, mass = adaptive_k(p, maximum=_LARGEST_K)
    return Distribution(entropy, k, min(mass, 1.0))


def _candidates(
    logits: Array,
    stages: Sequence[Stage],
    ids: Sequence[int],
    ranks: Sequence[int],
    logp: Array,
    removed: Sequence[Removal | None],
    texts: Callable[[int], tuple[str, bytes]],
) -> tuple[Candidate, ...]:
    tempered = next((n + 1 for n, stage in enumerate(stages) if isinstance(stage, Temperature)), 0)
    p_model, p_tempered, p_final = np.exp(logp[[0, tempered, -1]]).tolist()
    columns = (logits[ids].tolist(), p_model, logp[0].tolist(), p_tempered, p_final, ranks, removed)
    names, raws = zip(*map(texts, ids), strict=True)
    return tuple(map(Candidate, ids, names, raws, *columns))


def _removals(ledger: Ledger, context: Context, ids: Sequence[int], logp: Array) -> list[Removal | None]:
    """For each shown candidate the stage that removed it, with its number, or None."""
    removed: list[Removal | None] = [None] * len(ids)
    gone = logp == -np.inf  # (stages + 1, C)
    for column in gone[0].nonzero()[0].tolist():
        removed[column] = Removal("model", "its logit is -inf")
    at, columns = (gone[1:] & ~gone[:-1]).nonzero()
    for n in dict.fromkeys(at.tolist()):
        stage, here = ledger.stages[n], columns[at == n].tolist()
        reasons = stage.reasons(ledger.points[n].scores, context, [ids[column] for column in here])
        for column, why in zip(here, reasons, strict=True):
            removed[column] = Removal(stage.label, why)
    return removed


def _reason(chosen: Candidate, survivors: int, u: float | None, forced: bool) -> str:
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
