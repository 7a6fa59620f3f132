"""The rarer truncations: by entropy, by typicality, by an absolute probability.

In the formulas p_i is the probability of token i and H = -sum_i p_i ln p_i the entropy, in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.numerics import entropy, log_odds, log_softmax, softmax
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, places, softmax32
from minilm.sampling.stage import Stage

__all__ = ["Epsilon", "Eta", "TopH", "Typical"]

# Scores that move by x move two surprisals by up to 2x each, and the entropy, counted twice, by about 2x.
_ENTROPY_GAIN = 8.0


@dataclass(frozen=True, repr=False, eq=False)
class TopH(Stage):
    """Keeps the best tokens while their share of the entropy is at most h (Baghaei Potraghloo et al., 2025).

    keep the n best with -sum_{i<=n} p_i ln p_i <= h * H, where p and H are those of the 100 best tokens

    The token that crosses h goes, but the best token always stays.

    Attributes:
        h: The share of the entropy, above 0 and at most 1.
    """

    h: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.h <= 1:
            raise MinilmError(f"TopH must lie above 0 and at most 1, got {self.h}")

    def _find_shares(self, scores: Scores) -> tuple[Array, Array]:
        """Return the places of the 100 best, best first, and the share of the entropy up to each."""
        best = np.argsort(-scores.values, kind="stable")[:100]
        p = softmax(scores.values[best])
        # share_n = (-sum_{i<=n} p_i ln p_i) / H
        terms = -p * np.log(np.maximum(p, 1e-300))
        total = terms.sum()
        return best, np.cumsum(terms) / total if total else np.ones(best.size)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors before the crossing; the cut is the nearest share, or a change of places."""
        best, shares = self._find_shares(scores)
        # keep the n best with share_n <= h
        kept = max(int(np.count_nonzero(shares <= self.h + 1e-12)), 1)
        keep = np.zeros(scores.ids.size, dtype=bool)
        keep[best[:kept]] = True
        near = np.abs(shares[1:] - self.h).min(initial=np.inf) if self.h < 1 else np.inf
        return scores.keep(keep, _find_least(near, _find_gap(-scores.values, kept)))

    def gain(self, context: Context) -> float:
        """Return the gain of an entropy, which moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the share of the entropy that each would have reached."""
        best, shares = self._find_shares(before)
        share = dict(zip(before.ids[best].tolist(), shares.tolist(), strict=True))
        outside = "not among the 100 best"
        return [f"entropy share {share[i]:.4f} > {self.h}" if i in share else outside for i in map(int, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class Typical(Stage):
    """Keeps the tokens whose surprisal is nearest to the entropy, of mass t in all (Meister et al., 2023).

    keep the tokens with the smallest |-ln p_i - H| until sum p_i >= t

    Attributes:
        t: The mass, above 0 and at most 1; 1 keeps all.
    """

    t: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.t <= 1:
            raise MinilmError(f"Typical must lie above 0 and at most 1, got {self.t}")

    def _find_distances(self, scores: Scores) -> tuple[Array, float, float]:
        """Return how far each surprisal is from the entropy, the largest distance kept, and the cut."""
        logp = log_softmax(scores.values)
        p = np.exp(logp)
        # d_i = |-ln p_i - H|
        distance = np.abs(-logp - entropy(p)).astype(np.float32)
        order = np.argsort(distance, kind="stable")
        # Nearest first, until their mass reaches t.
        mass = np.cumsum(p[order])
        last = min(int(np.count_nonzero(mass < self.t)), order.size - 1)
        near = [abs(log_odds(m) - log_odds(self.t)) for m in mass[max(last - 1, 0) : last + 1].tolist()]
        return distance, float(distance[order[last]]), min(near)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the typical survivors; the most likely token is not always one of them."""
        if self.t == 1:
            return scores
        distance, most, near = self._find_distances(scores)
        kept = distance <= most
        # Another order of the distances around the last one kept would sum other masses.
        last = int(np.count_nonzero(kept))
        return scores.keep(kept, _find_least(near, _find_gap(distance, last), _find_gap(distance, last - 1)))

    def gain(self, context: Context) -> float:
        """Return the gain of an entropy, which moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the distance of each, in nats, and the largest that was kept."""
        distance, most, _ = self._find_distances(before)
        return [f"{d:.4f} nats from the entropy > {most:.4f}" for d in distance[places(before, ids)].tolist()]


def _find_gap(numbers: Array, n: int) -> float:
    """Return the distance from the n-th smallest number to the next; infinite if there is none."""
    if not 0 < n < numbers.size:
        return np.inf
    first, second = np.partition(numbers, (n - 1, n))[n - 1 : n + 1]
    return float(second) - float(first)


def _find_least(*distances: float) -> float | None:
    """Return the smallest distance to a cut, None if all are infinite."""
    return cut if (cut := float(min(distances))) < np.inf else None


def _keep_likely(scores: Scores, least: float) -> Scores:
    """Keep the tokens of at least that probability, and in any case the best one with all that equal it."""
    p, first = softmax32(scores.values), scores.values.argmax()
    best, likely = scores.values >= scores.values[first], p >= np.float32(least)
    above, below = p[likely & ~best].min(initial=1), p[~likely & ~best].max(initial=0)
    odds, limit = [log_odds(float(value)) for value in (above, below, p[first])], log_odds(least)
    # The best token goes only if it falls below the limit and another one becomes the best.
    replaced = max(_find_gap(-scores.values, 1), odds[2] - limit)
    return scores.keep(likely | best, _find_least(abs(odds[0] - limit), abs(odds[1] - limit), replaced))


def _explain_below(before: Scores, ids: Sequence[int], least: float) -> list[str]:
    return [f"{p:.3g} < {least:.3g}" for p in softmax32(before.values)[places(before, ids)].tolist()]


@dataclass(frozen=True, repr=False, eq=False)
class Epsilon(Stage):
    """Removes the tokens less likely than e; the best one always stays (Hewitt et al., 2022).

    keep i with p_i >= e

    Attributes:
        e: The least probability, between 0 and 1.
    """

    e: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.e < 1:
            raise MinilmError(f"Epsilon must lie between 0 and 1, got {self.e}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors of at least that probability."""
        # keep i with p_i >= e
        return _keep_likely(scores, self.e)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the two numbers that were compared."""
        return _explain_below(before, ids, self.e)


@dataclass(frozen=True, repr=False, eq=False)
class Eta(Stage):
    """Removes the tokens less likely than a limit that falls with the entropy H (Hewitt et al., 2022).

    keep i with p_i >= min(e, sqrt(e) * exp(-H))

    The best token always stays.

    Attributes:
        e: The least probability of a sharp distribution, between 0 and 1.
    """

    e: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.e < 1:
            raise MinilmError(f"Eta must lie between 0 and 1, got {self.e}")

    def _find_limit(self, scores: Scores) -> float:
        # min(e, sqrt(e) * exp(-H))
        return min(self.e, float(np.sqrt(self.e) * np.exp(-entropy(softmax(scores.values)))))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors of at least that probability."""
        return _keep_likely(scores, self._find_limit(scores))

    def gain(self, context: Context) -> float:
        """Return the gain of an entropy, which moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the two numbers that were compared."""
        return _explain_below(before, ids, self._find_limit(before))
