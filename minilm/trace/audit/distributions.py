"""Check the numbers over all tokens: entropies, adaptive k and its mass, and the norm of the embedding.

A trace shows a few candidates and not the whole vocabulary. So many checks here are bounds: a number must be
one that some distribution with these candidates can have.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from minilm.difference import scale_difference
from minilm.errors import MinilmError
from minilm.numerics import K_MASS, LARGEST_K, LEAST_K
from minilm.records import Distribution, Step
from minilm.sampling import parse
from minilm.sampling.stages.common import Temperature

__all__ = [
    "SMALLEST",
    "TOLERANCE",
    "check_distributions",
    "check_embedding",
    "differs",
    "exp",
    "temperature",
    "truncates",
]

TOLERANCE = 1e-6

SMALLEST = sys.float_info.min
"""Below it a probability has lost digits, so that its logarithm says little."""


def differs(a: float, b: float, scale: float = 1.0) -> bool:
    """Return True where two numbers differ by more than 1e-6, times the scale where that is above 1.

    >>> differs(0.5, 0.5 + 1e-7), differs(0.5, 0.51), differs(300.0, 300.0001, scale=300.0)
    (False, True, False)
    """
    return scale_difference(abs(a - b), scale) > TOLERANCE


def exp(x: float) -> float:
    """Return e to the power of a log-probability; at most e, because no log-probability is above 0."""
    return math.exp(min(x, 1.0))


@lru_cache(maxsize=256)
def truncates(label: str) -> bool:
    """Return True where a stage only removes tokens; False for a stage of the user's own, which is unknown.

    >>> truncates("TopK(3)"), truncates("Temperature(0.5)"), truncates("Mine()")
    (True, False, False)
    """
    try:
        return all(stage.truncates for stage in parse(label))
    except MinilmError:
        return False


@lru_cache(maxsize=256)
def temperature(label: str) -> float | None:
    """Return the temperature of a Temperature stage, and None for any other stage.

    >>> temperature("Temperature(0.5)"), temperature("TopK(3)")
    (0.5, None)
    """
    try:
        stages = parse(label)
    except MinilmError:
        return None
    return stages[0].t if len(stages) == 1 and isinstance(stages[0], Temperature) else None


def check_distributions(step: Step) -> Iterator[str]:
    """Yield what is wrong with the adaptive k, its mass, and the entropies before and after every stage."""
    decision = step.decision
    best = [c.p_model for n, c in enumerate(decision.candidates, 1) if c.rank == n]
    yield from _check_adaptive_k("raw", decision.raw, best)
    labels = [effect.stage for effect in decision.stages]
    # Stages that only remove tokens, or divide by a temperature, keep the order of the candidates.
    if all(truncates(label) or temperature(label) is not None for label in labels):
        left = [c.p_final for n, c in enumerate(decision.candidates, 1) if c.rank == n and c.p_final > 0]
        yield from _check_adaptive_k("final", decision.final, left)
    k = decision.final.k_used
    # Where k tokens do not hold all the mass, others are left, so k cannot be below its least value.
    too_few = decision.final.mass_used < 1 - TOLERANCE and k < LEAST_K
    if k > decision.survivors or too_few:
        yield f"final k_used is {k} of {decision.survivors} survivors"
    yield from _check_entropies(step)


def _check_entropies(step: Step) -> Iterator[str]:
    """Yield what is wrong with the survivors, the mass kept and the entropy from one stage to the next."""
    entropy, survivors = step.decision.raw.entropy, None
    for effect in step.decision.stages:
        if survivors is not None and effect.survivors > survivors:
            yield f"{effect.stage}: {effect.survivors} survivors, {survivors} before it"
        nothing_removed = effect.survivors == survivors or temperature(effect.stage) is not None
        if nothing_removed and differs(effect.mass_kept, 1.0):
            yield f"{effect.stage}: removed nothing, though mass kept is {effect.mass_kept:.9g}"
        if truncates(effect.stage):
            removed = None if survivors is None else max(survivors - effect.survivors, 0)
            low, high = _bound_entropy_before(effect.mass_kept, effect.entropy, removed)
            if not low - TOLERANCE <= entropy <= high + TOLERANCE:
                yield f"{effect.stage}: entropy {entropy:.9g} before it, {low:.9g} to {high:.9g} can be"
        entropy, survivors = effect.entropy, effect.survivors


def _check_adaptive_k(name: str, found: Distribution, best: list[float]) -> Iterator[str]:
    """Yield what is wrong with k_used, mass_used and the entropy of a distribution.

    Args:
        name: "raw" or "final".
        found: The numbers in the trace.
        best: The best probabilities that the trace shows, best first, without a gap.
    """
    k, mass = found.k_used, found.mass_used
    shown = math.fsum(best[:k])
    # Tokens that are not shown hold at most as much as the last one that is.
    most = shown + (k - len(best)) * best[-1] if best and k > len(best) else shown
    if best and not shown - TOLERANCE <= mass <= most + TOLERANCE:
        yield f"{name} mass_used is {mass:.9g}, the {k} best tokens hold {shown:.9g} to {most:.9g}"
    if k > LARGEST_K or (k < LARGEST_K and mass < K_MASS - TOLERANCE):
        yield f"{name} k_used is {k}, though they hold {mass:.9g}"
    if LEAST_K < k <= len(best) + 1 and math.fsum(best[: k - 1]) >= K_MASS + TOLERANCE:
        yield f"{name} k_used is {k}, though {k - 1} tokens hold {math.fsum(best[: k - 1]):.9g}"
    rest = 1.0 - math.fsum(best)
    if best and best[-1] > 0 and rest > TOLERANCE:
        # H >= -sum(p ln p) - rest ln(p_last), because no token of the rest is likelier than the last one
        # shown.
        least = -sum(p * math.log(p) for p in best) - rest * math.log(best[-1])
        if found.entropy < least - TOLERANCE:
            yield f"{name} entropy is {found.entropy:.9g}, the best tokens alone make {least:.9g}"


def _bound_entropy_before(mass: float, entropy: float, removed: int | None) -> tuple[float, float]:
    """Return the least and the largest entropy that the distribution before a stage can have had.

    The grouping rule (Shannon, 1948): H = h(m) + m H_kept + (1 - m) H_removed, where h is the entropy of the
    split, and H_removed lies between 0 and the logarithm of the number of removed tokens.

    Args:
        mass: The mass m that the stage kept.
        entropy: H_kept, the entropy after the stage, in nats.
        removed: How many tokens the stage removed, None where that is not known.
    """
    lost = max(1.0 - mass, 0.0)
    low = mass * entropy - sum(share * math.log(share) for share in (mass, lost) if share > 0)
    if removed is None:
        return low, math.inf
    return low, low + lost * math.log(removed) if removed else entropy


def check_embedding(step: Step) -> Iterator[str]:
    """Yield what is wrong with the shape and the norm of the embedding, which is float32."""
    embedding = step.embedding
    norm = float(np.linalg.norm(embedding.vector.astype(np.float64)))
    if embedding.shape != embedding.vector.shape:
        yield f"the shape is {embedding.shape}, the vector's {embedding.vector.shape}"
    if scale_difference(abs(embedding.norm - norm), norm) > 10 * TOLERANCE:
        yield f"the norm is {embedding.norm:.9g}, the vector's {norm:.9g}"
