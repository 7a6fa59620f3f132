"""The rarer truncations: by entropy, by typicality, by an absolute probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.numerics import entropy, log_softmax, softmax
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, places, softmax32
from minilm.sampling.stages import Stage

__all__ = ["Epsilon", "Eta", "TopH", "Typical"]


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
        """The survivors before the crossing."""
        best, shares = self._shares(scores)
        keep = np.zeros(scores.ids.size, dtype=bool)
        keep[best[shares <= self.h + 1e-12]] = True
        keep[best[0]] = True
        return scores.keep(keep)

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

    def _distances(self, scores: Scores) -> tuple[Array, float]:
        """How far each surprisal is from the entropy, and the largest distance that is kept."""
        logp = log_softmax(scores.values)
        p = np.exp(logp)
        distance = np.abs(-logp - entropy(p)).astype(np.float32)
        order = np.argsort(distance, kind="stable")
        last = min(int(np.count_nonzero(np.cumsum(p[order]) < self.t)), order.size - 1)
        return distance, float(distance[order[last]])

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The typical survivors; not always the most likely one among them."""
        if self.t == 1:
            return scores
        distance, most = self._distances(scores)
        return scores.keep(distance <= most)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The distance of each, in nats, and the largest that was kept."""
        distance, most = self._distances(before)
        return [f"{d:.4f} nats from the entropy > {most:.4f}" for d in distance[places(before, ids)].tolist()]


def _keep_likely(scores: Scores, least: float) -> Scores:
    """Those of at least that probability, and the best in any case."""
    p = softmax32(scores.values)
    return scores.keep((p >= np.float32(least)) | (scores.values >= scores.values.max()))


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

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers that were compared."""
        return _below(before, ids, self._least(before))
