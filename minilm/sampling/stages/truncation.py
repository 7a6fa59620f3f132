"""The rarer truncations: by entropy, by typicality, by an absolute probability."""

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

_ENTROPY_GAIN = 8.0  # what is compared moves: two surprisals by 2 each, and an entropy twice by about 2


@dataclass(frozen=True, repr=False, eq=False)
class TopH(Stage):
    """Keeps best tokens while their share of the entropy is at most h; the crossing token goes.

    Only the 100 best count; the first always stays (Baghaei Potraghloo et al., 2025).
    """

    h: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.h <= 1:
            raise MinilmError(f"TopH must lie above 0 and at most 1, got {self.h}")

    def _shares(self, scores: Scores) -> tuple[Array, Array]:
        """The places of the best, best first, and the share of the entropy up to each."""
        best = np.argsort(-scores.values, kind="stable")[:100]
        p = softmax(scores.values[best])
        terms = -p * np.log(np.maximum(p, 1e-300))
        total = terms.sum()
        return best, np.cumsum(terms) / total if total else np.ones(best.size)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors before the crossing. Its cut is the share nearest to h, or a change of places."""
        best, shares = self._shares(scores)
        kept = max(int(np.count_nonzero(shares <= self.h + 1e-12)), 1)
        keep = np.zeros(scores.ids.size, dtype=bool)
        keep[best[:kept]] = True
        near = np.abs(shares[1:] - self.h).min(initial=np.inf) if self.h < 1 else np.inf
        return scores.keep(keep, _nearest(near, _gap(-scores.values, kept)))

    def gain(self, context: Context) -> float:
        """The entropy moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The share of the entropy that each would have reached."""
        best, shares = self._shares(before)
        share = dict(zip(before.ids[best].tolist(), shares.tolist(), strict=True))
        outside = "not among the 100 best"
        return [f"entropy share {share[i]:.4f} > {self.h}" if i in share else outside for i in map(int, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class Typical(Stage):
    """Keeps the tokens whose surprisal is nearest to the entropy, of mass t in all (Meister et al., 2022)."""

    t: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.t <= 1:
            raise MinilmError(f"Typical must lie above 0 and at most 1, got {self.t}")

    def _distances(self, scores: Scores) -> tuple[Array, float, float]:
        """How far each surprisal is from the entropy, the largest distance that is kept, and the cut."""
        logp = log_softmax(scores.values)
        p = np.exp(logp)
        distance = np.abs(-logp - entropy(p)).astype(np.float32)
        order = np.argsort(distance, kind="stable")
        mass = np.cumsum(p[order])
        last = min(int(np.count_nonzero(mass < self.t)), order.size - 1)
        near = [abs(log_odds(m) - log_odds(self.t)) for m in mass[max(last - 1, 0) : last + 1].tolist()]
        return distance, float(distance[order[last]]), min(near)

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The typical survivors; not always the most likely one among them."""
        if self.t == 1:
            return scores
        distance, most, near = self._distances(scores)
        kept = distance <= most
        last = int(np.count_nonzero(kept))  # another order around it would sum other masses
        return scores.keep(kept, _nearest(near, _gap(distance, last), _gap(distance, last - 1)))

    def gain(self, context: Context) -> float:
        """The entropy moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The distance of each, in nats, and the largest that was kept."""
        distance, most, _ = self._distances(before)
        return [f"{d:.4f} nats from the entropy > {most:.4f}" for d in distance[places(before, ids)].tolist()]


def _gap(ascending: Array, n: int) -> float:
    """Between the n-th least number and the next; infinite where there is none."""
    if not 0 < n < ascending.size:
        return np.inf
    first, second = np.partition(ascending, (n - 1, n))[n - 1 : n + 1]
    return float(second) - float(first)


def _nearest(*distances: float) -> float | None:
    """The least distance to a cut, None where all are infinite."""
    return cut if (cut := float(min(distances))) < np.inf else None


def _keep_likely(scores: Scores, least: float) -> Scores:
    """Those of at least that probability, and the best in any case, with all that equal it."""
    p, first = softmax32(scores.values), scores.values.argmax()
    best, likely = scores.values >= scores.values[first], p >= np.float32(least)
    above, below = p[likely & ~best].min(initial=1), p[~likely & ~best].max(initial=0)
    odds, limit = [log_odds(float(value)) for value in (above, below, p[first])], log_odds(least)
    replaced = max(_gap(-scores.values, 1), odds[2] - limit)  # it falls below, and another one is best
    return scores.keep(likely | best, _nearest(abs(odds[0] - limit), abs(odds[1] - limit), replaced))


def _below(before: Scores, ids: Sequence[int], least: float) -> list[str]:
    return [f"{p:.3g} < {least:.3g}" for p in softmax32(before.values)[places(before, ids)].tolist()]


@dataclass(frozen=True, repr=False, eq=False)
class Epsilon(Stage):
    """Removes what is less likely than e; the best always stays (Hewitt et al., 2022)."""

    e: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.e < 1:
            raise MinilmError(f"Epsilon must lie between 0 and 1, got {self.e}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors of at least that probability."""
        return _keep_likely(scores, self.e)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers that were compared."""
        return _below(before, ids, self.e)


@dataclass(frozen=True, repr=False, eq=False)
class Eta(Stage):
    """Removes what is less likely than min(e, sqrt(e) x e^-H), H the entropy (Hewitt et al., 2022)."""

    e: float
    truncates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.e < 1:
            raise MinilmError(f"Eta must lie between 0 and 1, got {self.e}")

    def _least(self, scores: Scores) -> float:
        return min(self.e, float(np.sqrt(self.e) * np.exp(-entropy(softmax(scores.values)))))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors of at least that probability."""
        return _keep_likely(scores, self._least(scores))

    def gain(self, context: Context) -> float:
        """The entropy moves with the scores."""
        return _ENTROPY_GAIN

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers that were compared."""
        return _below(before, ids, self._least(before))
