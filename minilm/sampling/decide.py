"""Run the stages, keep the ledger, let the draw fall: one Decision, with every number it was made from.

Pure: equal logits, context, stages and draw give an equal Decision. The ledger is kept in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilm.numerics import LARGEST_K, adaptive_k, sorted_k
from minilm.records import Array, Candidate, Decision, Distribution
from minilm.sampling.candidates import shown
from minilm.sampling.ledger import Ledger, find_drawn, find_ends, find_interval
from minilm.sampling.scores import Context, Scores, float32, places
from minilm.sampling.sensitivity import between, can_be_fragile, can_flip
from minilm.sampling.stage import Stage

__all__ = ["decide"]


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
    logits = float32(logits)
    ledger = Ledger.of(logits, stages, context)
    survivors, p_final = ledger.survivors, ledger.p_final
    if forced is None:
        place, interval = _fall(p_final, u)
        chosen = int(survivors.ids[place])
    else:
        chosen, u, interval = forced, None, _interval(survivors, p_final, forced)
    margin = None if u is None or interval is None else min(u - interval[0], interval[1] - u)
    look = shown(ledger, logits, texts, top, [chosen, *watch], LARGEST_K)
    picked, (raw, final) = look.candidate(chosen), ledger.entropies
    return Decision(
        candidates=look.candidates,
        stages=ledger.effects(look.logp[chosen], {i: look.logp[i] for i in watch}),
        survivors=survivors.ids.size,
        raw=Distribution(raw, *sorted_k(look.p_best)),
        final=Distribution(final, *adaptive_k(p_final)),
        u=u,
        interval=interval,
        margin=margin,
        chosen=picked,
        reason=_reason(picked, survivors.ids.size, u, forced is not None),
        forced=forced is not None,
        fragile=forced is None and _fragile(ledger, logits, u, chosen, interval),
    )


def _fragile(
    ledger: Ledger, logits: Array, u: float | None, chosen: int, interval: tuple[float, float] | None
) -> bool:
    """Whether a wobble of the logits can flip the step: tried only where it comes near."""
    if not can_be_fragile(ledger, u, chosen, interval or (0.0, 1.0)):
        return False
    runs = between((point.scores for point in ledger.points), ledger.stages)
    return can_flip(logits, ledger.context, ledger.stages, u, chosen, runs)


def _fall(p: Array, u: float | None) -> tuple[int, tuple[float, float]]:
    """Return the place in p (S,) on whose interval u falls, and the interval."""
    ends = find_ends(p)
    place = int(p.argmax()) if u is None else int(find_drawn(ends, u))
    return place, find_interval(ends, place)


def _interval(scores: Scores, p: Array, token_id: int) -> tuple[float, float] | None:
    """The interval of a token that was not drawn; None where it did not survive."""
    found = places(scores, [token_id])
    return find_interval(find_ends(p), int(found[0])) if found.size else None


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
    return f"drawn, though the model ranks {chosen.rank - 1} token{'s' * (chosen.rank > 2)} higher"
