"""What the numbers over all tokens owe to the candidates and to one another: entropies, adaptive k, the norm.

They are bounds: what a trace does not show of the other tokens cannot be known without its logits.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from minilm.errors import MinilmError
from minilm.numerics import K_MASS, LARGEST_K, LEAST_K
from minilm.records import Distribution, Step
from minilm.sampling import parse
from minilm.sampling.stages.common import Temperature

__all__ = [
    "SMALLEST",
    "TOLERANCE",
    "apart",
    "distributions_owe",
    "embedding_owes",
    "exp",
    "temperature",
    "truncates",
]


def distributions_owe(step: Step) -> Iterator[str]:
    """Adaptive k, its mass and the entropies; and what a stage that only removes leaves of them."""
    decision = step.decision
    best = [c.p_model for n, c in enumerate(decision.candidates, 1) if c.rank == n]
    yield from _held("raw", decision.raw, best)
    labels = [effect.stage for effect in decision.stages]
    if all(truncates(label) or temperature(label) is not None for label in labels):
        left = [c.p_final for n, c in enumerate(decision.candidates, 1) if c.rank == n and c.p_final > 0]
        yield from _held("final", decision.final, left)
    k, few = decision.final.k_used, decision.final.mass_used < 1 - TOLERANCE  # others are above 0
    if k > decision.survivors or (few and k < LEAST_K):
        yield f"final k_used is {k} of {decision.survivors} survivors"
    entropy, survivors = decision.raw.entropy, None
    for effect in decision.stages:
        if survivors is not None and effect.survivors > survivors:
            yield f"{effect.stage}: {effect.survivors} survivors, {survivors} before it"
        whole = effect.survivors == survivors or temperature(effect.stage) is not None
        if whole and apart(effect.mass_kept, 1.0):
            yield f"{effect.stage}: removed nothing, though mass kept is {effect.mass_kept:.9g}"
        if truncates(effect.stage):
            gone = None if survivors is None else max(survivors - effect.survivors, 0)
            low, high = _before(effect.mass_kept, effect.entropy, gone)
            if not low - TOLERANCE <= entropy <= high + TOLERANCE:
                yield f"{effect.stage}: entropy {entropy:.9g} before it, {low:.9g} to {high:.9g} can be"
        entropy, survivors = effect.entropy, effect.survivors


def _held(name: str, found: Distribution, best: list[float]) -> Iterator[str]:
    """k_used and mass_used against the best probabilities that are shown, best first."""
    k, mass = found.k_used, found.mass_used
    shown = math.fsum(best[:k])
    most = shown + (k - len(best)) * best[-1] if best and k > len(best) else shown
    if best and not shown - TOLERANCE <= mass <= most + TOLERANCE:
        yield f"{name} mass_used is {mass:.9g}, the {k} best tokens hold {shown:.9g} to {most:.9g}"
    if k > LARGEST_K or (k < LARGEST_K and mass < K_MASS - TOLERANCE):
        yield f"{name} k_used is {k}, though they hold {mass:.9g}"
    if LEAST_K < k <= len(best) + 1 and math.fsum(best[: k - 1]) >= K_MASS + TOLERANCE:
        yield f"{name} k_used is {k}, though {k - 1} tokens hold {math.fsum(best[: k - 1]):.9g}"
    rest = 1.0 - math.fsum(best)
    if best and best[-1] > 0 and rest > TOLERANCE:
        least = -sum(p * math.log(p) for p in best) - rest * math.log(best[-1])
        if found.entropy < least - TOLERANCE:
            yield f"{name} entropy is {found.entropy:.9g}, the best tokens alone make {least:.9g}"


def _before(mass: float, entropy: float, gone: int | None) -> tuple[float, float]:
    """The least and the most entropy before a cut that kept `mass`, by the grouping rule (Shannon, 1948)."""
    lost = max(1.0 - mass, 0.0)
    low = mass * entropy - sum(share * math.log(share) for share in (mass, lost) if share > 0)
    if gone is None:
        return low, math.inf
    return low, low + lost * math.log(gone) if gone else entropy


def embedding_owes(step: Step) -> Iterator[str]:
    """The shape and the norm of the vector; float32, as models answer."""
    embedding = step.embedding
    norm = float(np.linalg.norm(embedding.vector.astype(np.float64)))
    if embedding.shape != embedding.vector.shape:
        yield f"the shape is {embedding.shape}, the vector's {embedding.vector.shape}"
    if abs(embedding.norm - norm) > 10 * TOLERANCE * max(1.0, norm):
        yield f"the norm is {embedding.norm:.9g}, the vector's {norm:.9g}"


TOLERANCE = 1e-6

SMALLEST = sys.float_info.min
"""Below it a probability has lost digits, so that its logarithm says little."""


def apart(a: float, b: float, scale: float = 1.0) -> bool:
    """Whether two numbers differ by more than 1e-6, times the scale where that is above 1.

    >>> apart(0.5, 0.5 + 1e-7), apart(0.5, 0.51), apart(300.0, 300.0001, scale=300.0)
    (False, True, False)
    """
    return not abs(a - b) <= TOLERANCE * max(1.0, scale)


def exp(x: float) -> float:
    """e to the power of a log-probability; above 0, where none can be, e at most."""
    return math.exp(min(x, 1.0))


@lru_cache(maxsize=256)
def truncates(label: str) -> bool:
    """Whether a stage only removes tokens; False for one of the user's own, of which nothing is known.

    >>> truncates("TopK(3)"), truncates("Temperature(0.5)"), truncates("Mine()")
    (True, False, False)
    """
    try:
        return all(stage.truncates for stage in parse(label))
    except MinilmError:
        return False


@lru_cache(maxsize=256)
def temperature(label: str) -> float | None:
    """The temperature of a stage that divides by one, else None.

    >>> temperature("Temperature(0.5)"), temperature("TopK(3)")
    (0.5, None)
    """
    try:
        stages = parse(label)
    except MinilmError:
        return None
    return stages[0].t if len(stages) == 1 and isinstance(stages[0], Temperature) else None
