"""One small frozen dataclass per sampling stage: scores in, scores out.

Values are float32 in transformers' order of operations. Each truncation works on the softmax of what
is left, and can say of a token which number failed. The rarer stages stand in more.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.numerics import contenders, log_odds
from minilm.records import Array
from minilm.sampling.scores import Context, Scores, largest, places, softmax32
from minilm.sampling.stage import Stage, is_whole

__all__ = ["Greedy", "MinP", "Temperature", "TopK", "TopP"]

_LARGEST = float(np.finfo(np.float32).max)

_BLOCK = 8192


@dataclass(frozen=True, repr=False, eq=False)
class Greedy(Stage):
    """Leaves the best token alone, the lowest id among equals; then nothing is drawn."""

    truncates: ClassVar[bool] = True

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """One survivor; its cut is the distance to the second best."""
        values = scores.values
        best = int(values.argmax())
        others = np.delete(values, best)
        cut = float(values[best] - largest(others)) if others.size else None
        return Scores(scores.ids[best : best + 1], values[best : best + 1], cut)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The best score that each was compared with."""
        best = before.values.max()
        return [f"score {v:.4g} is not the best, {best:.4g}" for v in _values(before, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class Temperature(Stage):
    """Divides every score by t > 0: below 1 sharper, above 1 flatter (Ackley et al., 1985)."""

    t: float

    def __post_init__(self) -> None:
        if not 0 < self.t < np.inf:
            raise MinilmError(f"Temperature must be above 0, got {self.t}; for greedy use Greedy()")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The same survivors, scores / t."""
        if self.t == 1:
            return scores
        values, t = scores.values, np.float32(min(self.t, _LARGEST))
        most = max(float(largest(values)), -float(values[values.argmin()]))
        if not t or most > _LARGEST * float(t):
            raise MinilmError(f"Temperature {self.t} makes scores overflow; for greedy use Greedy()")
        return Scores(scores.ids, values / t)

    def gain(self, context: Context) -> float:
        """1 / t."""
        return 1 / self.t


@dataclass(frozen=True, repr=False, eq=False)
class TopK(Stage):
    """Keeps the k best tokens, and those equal to the k-th (Fan et al., 2018)."""

    truncates: ClassVar[bool] = True

    k: int

    def __post_init__(self) -> None:
        if not is_whole(self.k, 1):
            raise MinilmError(f"TopK must be a whole number from 1, got {self.k}; leave it out to keep all")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors with a score of at least the k-th largest; its cut is the distance to the next."""
        k = int(self.k)  # which may be one of NumPy's
        if scores.values.size <= k:
            return scores
        values = contenders(scores.values, k + 1)
        place = values.size - k
        values.partition(place)
        least = values[place]
        return scores.keep(scores.values >= least, float(least - largest(values[:place])))

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The place of each among the survivors before."""
        return [f"rank {1 + np.count_nonzero(before.values > v)} > {self.k}" for v in _values(before, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class TopP(Stage):
    """Keeps the fewest best tokens whose mass reaches p; the crossing token stays (Holtzman et al., 2020).

    Among equal scores the lower id is taken first.
    """

    truncates: ClassVar[bool] = True

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise MinilmError(f"TopP must lie between 0 and 1, got {self.p}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors that the nucleus holds; at least the best one."""
        if self.p == 1:
            return scores
        values = scores.values
        # Worst first, as transformers sums; the values alone matter, so the sort need not be stable.
        ascending = np.sort(values)
        first, masses = self._find_crossing(softmax32(ascending))
        keep = values >= ascending[first]
        surplus = int(np.count_nonzero(keep)) - (values.size - first)
        if surplus:
            # Among equal scores at the cut, those with the highest ids go.
            keep[np.flatnonzero(values == ascending[first])[-surplus:]] = False
        # The nearest of three: the mass 1 - p in log-odds, from both sides, and the best score removed.
        near = [abs(log_odds(mass) - log_odds(1 - self.p)) for mass in masses]
        if first:
            near.append(abs(float(ascending[first] - ascending[first - 1])))
        return scores.keep(keep, min(near, default=None))

    def _find_crossing(self, p: Array) -> tuple[int, list[float]]:
        """Return the place of the first token to keep, and the masses before it and with it.

        Args:
            p: (S,) probabilities in ascending order.

        Returns:
            The first place at which the mass of a token and all worse ones exceeds 1 - p, and up to two
            masses, because there is none before the worst token, and with the best it is 1.
        """
        limit = np.float32(1 - self.p)
        mass, start, below = 0.0, 0, p[:0]
        # In blocks, because a flat distribution crosses after a tenth of its tokens.
        for start in range(0, p.size, _BLOCK):
            # below_i = p_0 + p_1 + ... + p_i
            sums = p[start : start + _BLOCK].astype(np.float64)
            sums[0] += mass
            np.cumsum(sums, out=sums)
            below = sums.astype(np.float32)
            if below[-1] > limit:
                break
            if start + below.size < p.size:
                mass = float(sums[-1])
        place = min(int(below.searchsorted(limit, side="right")), below.size - 1)
        first = start + place
        masses = [float(below[place - 1]) if place else float(np.float32(mass))] if first else []
        if first < p.size - 1:
            masses.append(float(below[place]))
        return first, masses

    def find_contested(self, before: Scores, after: Scores, mass_kept: float, reach: float) -> Array | None:
        """Return the ids within reach of the cut; None where the crossing may come one token earlier."""
        worst = after.values[after.values.argmin()]
        removed = 1 - mass_kept
        crossing = removed + mass_kept * float(softmax32(after.values)[after.values.argmin()])
        limit = 1 - self.p
        # What float32 rounds off a mass, in log-odds.
        rounding = 1e-6 / max(limit * self.p, 1e-30)
        distances = [abs(log_odds(mass) - log_odds(limit)) for mass in (removed, crossing)]
        if not min(distances) >= reach + rounding:
            return None
        gap = np.float32(after.cut or 0.0)
        near = (before.values >= worst - reach) & (before.values <= worst - gap + reach)
        return before.ids[near]

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The mass that the better tokens had reached before each."""
        values = before.values
        ascending = np.sort(values)
        p = np.sort(softmax32(values)).astype(np.float64)
        where = places(before, ids)
        reached: list[str] = []
        for place, end in zip(where, ascending.searchsorted(values[where], side="right"), strict=True):
            equals_before = np.count_nonzero(values[:place] == values[place])
            mass = np.add.reduce(p[end:]) + equals_before * p[end - 1]
            reached.append(f"{mass:.4f} reached before it")
        return reached


@dataclass(frozen=True, repr=False, eq=False)
class MinP(Stage):
    """Removes what is less likely than m times the most likely token (Nguyen et al., 2024)."""

    truncates: ClassVar[bool] = True

    m: float

    def __post_init__(self) -> None:
        if not 0 <= self.m <= 1:
            raise MinilmError(f"MinP must lie between 0 and 1, got {self.m}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors with a probability of at least m times the largest."""
        p = softmax32(scores.values)
        return scores.keep(p >= np.float32(self.m) * largest(p), self._cut(scores.values))

    def _cut(self, values: Array) -> float | None:
        """Of the nearest score to the least that is kept; the best one always is."""
        if not self.m:
            return None
        best = values.argmax()
        away = np.abs(values - (values[best] + np.float32(log(self.m))))
        away[best] = np.inf
        cut = float(away[away.argmin()])
        return cut if cut < np.inf else None

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """The two numbers that were compared."""
        p = softmax32(before.values)
        return [f"{v:.4g} < {self.m} × {p.max():.4g}" for v in p[places(before, ids)].tolist()]


def _values(scores: Scores, ids: Sequence[int]) -> Array:
    return scores.values[places(scores, ids)]
