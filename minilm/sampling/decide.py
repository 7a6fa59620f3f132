"""Run the stages, keep the ledger, and draw a token: one Decision, with every number that it was made from.

Equal logits, context, stages and draw give an equal Decision. The ledger is kept in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilm.numerics import LARGEST_K, adaptive_k, sorted_k
from minilm.records import Array, Candidate, Decision, Distribution
from minilm.sampling.candidates import describe_candidates
from minilm.sampling.ledger import Ledger, find_drawn, find_ends, find_interval
from minilm.sampling.scores import Context, float32, places
from minilm.sampling.sensitivity import can_be_fragile, can_flip, find_truncations
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

    Args:
        logits: (V,) as the model gave them.
        context: Where the token is chosen.
        stages: The stages, in order.
        u: The draw in [0, 1); None to take the best survivor.
        texts: Gives the text and the bytes of an id.
        top: How many candidates to show.
        watch: Ids that are followed through every stage.
        forced: The id to take whatever the draw says; None to follow the draw.

    Returns:
        The chosen token, the candidates, and what each stage did.

    Raises:
        MinilmError: The logits are not finite, or a stage leaves nothing.
    """
    logits = float32(logits)
    ledger = Ledger.of(logits, stages, context)
    p_final = ledger.p_final
    if forced is None:
        chosen, interval = _draw(ledger, p_final, u)
    else:
        chosen, u, interval = forced, None, _find_interval_of(ledger, p_final, forced)
    margin = None if u is None or interval is None else min(u - interval[0], interval[1] - u)
    shown = describe_candidates(ledger, logits, texts, top, [chosen, *watch], LARGEST_K)
    picked, (raw, final), survivors = shown.candidate(chosen), ledger.entropies, ledger.survivors.ids.size
    return Decision(
        candidates=shown.candidates,
        stages=ledger.describe_effects(shown.logp[chosen], {i: shown.logp[i] for i in watch}),
        survivors=survivors,
        raw=Distribution(raw, *sorted_k(shown.p_best)),
        final=Distribution(final, *adaptive_k(p_final)),
        u=u,
        interval=interval,
        margin=margin,
        chosen=picked,
        reason=_explain(picked, survivors, u, forced is not None),
        forced=forced is not None,
        fragile=forced is None and _is_fragile(ledger, logits, u, chosen, interval or (0.0, 1.0)),
    )


def _draw(ledger: Ledger, p: Array, u: float | None) -> tuple[int, tuple[float, float]]:
    """Return the id on whose interval u falls, and the interval; for u None, those of the best survivor."""
    ends = find_ends(p)
    place = int(p.argmax()) if u is None else int(find_drawn(ends, u))
    return int(ledger.survivors.ids[place]), find_interval(ends, place)


def _find_interval_of(ledger: Ledger, p: Array, token_id: int) -> tuple[float, float] | None:
    """Return the interval of a token that was not drawn; None if it did not survive."""
    found = places(ledger.survivors, [token_id])
    return find_interval(find_ends(p), int(found[0])) if found.size else None


def _is_fragile(
    ledger: Ledger, logits: Array, u: float | None, chosen: int, interval: tuple[float, float]
) -> bool:
    """Return whether a wobble of the logits can choose another token; most steps need no trial for that."""
    if not can_be_fragile(ledger, u, chosen, interval):
        return False
    truncations = find_truncations((point.scores for point in ledger.points), ledger.stages)
    return can_flip(logits, ledger.context, ledger.stages, u, chosen, truncations)


def _explain(chosen: Candidate, survivors: int, u: float | None, forced: bool) -> str:
    """Say in a sentence why this token was chosen, from the facts of the decision alone."""
    if forced:
        removed = f"; {chosen.removed_by.stage} had removed it" if chosen.removed_by else ""
        return f"forced by hand{removed}"
    if survivors == 1:
        return "the only survivor" + ("" if chosen.rank == 1 else f", rank {chosen.rank} for the model")
    if u is None:
        return "taken as the best of the survivors"
    if chosen.rank == 1:
        return "drawn, and the most likely one"
    return f"drawn, though the model ranks {chosen.rank - 1} token{'s' * (chosen.rank > 2)} higher"
