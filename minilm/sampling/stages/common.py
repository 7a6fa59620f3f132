"""The stages that most people use: Temperature, TopK, TopP, MinP and Greedy.

Each is a frozen dataclass: scores in, scores out. Values are float32 in transformers' order of operations. A
truncation works on the softmax of the tokens that are left, and can say which number of a token failed.

In the formulas s_i is the score of token i, and p_i = e^(s_i) / sum_j e^(s_j) its probability.
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
    """Keeps only the best token, the lowest id among equals, so that nothing is left to chance.

    keep i = argmax_i s_i
    """

    truncates: ClassVar[bool] = True

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return one survivor; its cut is the distance to the second best."""
        values = scores.values
        # keep i = argmax_i s_i
        best = int(values.argmax())
        others = np.delete(values, best)
        cut = float(values[best] - largest(others)) if others.size else None
        return Scores(scores.ids[best : best + 1], values[best : best + 1], cut)

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the best score that each was compared with."""
        best = before.values.max()
        return [f"score {v:.4g} is not the best, {best:.4g}" for v in _find_values(before, ids)]


@dataclass(frozen=True, repr=False, eq=False)
class Temperature(Stage):
    """Divides every score by t > 0: below 1 sharper, above 1 flatter (Ackley et al., 1985).

    s_i <- s_i / t

    Attributes:
        t: The temperature.
    """

    t: float

    def __post_init__(self) -> None:
        if not 0 < self.t < np.inf:
            raise MinilmError(f"Temperature must be above 0, got {self.t}; for greedy use Greedy()")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the same survivors with their scores divided by t."""
        if self.t == 1:
            return scores
        values, t = scores.values, np.float32(min(self.t, _LARGEST))
        most = max(float(largest(values)), -float(values[values.argmin()]))
        if not t or most > _LARGEST * float(t):
            raise MinilmError(f"Temperature {self.t} makes scores overflow; for greedy use Greedy()")
        # s_i <- s_i / t
        return Scores(scores.ids, values / t)

    def gain(self, context: Context) -> float:
        """Return 1 / t."""
        return 1 / self.t


@dataclass(frozen=True, repr=False, eq=False)
class TopK(Stage):
    """Keeps the k best tokens, and those equal to the k-th (Fan et al., 2018).

    keep i with s_i >= the k-th largest score

    Attributes:
        k: How many tokens to keep, from 1.
    """

    truncates: ClassVar[bool] = True

    k: int

    def __post_init__(self) -> None:
        if not is_whole(self.k, 1):
            raise MinilmError(f"TopK must be a whole number from 1, got {self.k}; leave it out to keep all")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors from the k-th largest score up; the cut is the distance to the next."""
        # Python's own int: k may be one of NumPy's, which can overflow.
        k = int(self.k)
        if scores.values.size <= k:
            return scores
        values = contenders(scores.values, k + 1)
        place = values.size - k
        values.partition(place)
        # keep i with s_i >= the k-th largest score
        least = values[place]
        return scores.keep(scores.values >= least, float(least - largest(values[:place])))

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the rank of each among the survivors before."""
        return [
            f"rank {1 + np.count_nonzero(before.values > v)} > {self.k}" for v in _find_values(before, ids)
        ]


@dataclass(frozen=True, repr=False, eq=False)
class TopP(Stage):
    """Keeps the fewest best tokens whose mass reaches p: the nucleus (Holtzman et al., 2020).

    keep the smallest set of best tokens with sum p_i >= p

    The token that crosses p stays. Among equal scores the lower id is taken first.

    Attributes:
        p: The mass, between 0 and 1; 0 keeps the best token, 1 keeps all.
    """

    truncates: ClassVar[bool] = True

    p: float

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise MinilmError(f"TopP must lie between 0 and 1, got {self.p}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors in the nucleus; at least the best one."""
        if self.p == 1:
            return scores
        values = scores.values
        # Worst first, as transformers sums; the values alone matter, so the sort need not be stable.
        ascending = np.sort(values)
        # The nucleus ends where the mass of the worst tokens exceeds 1 - p.
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
        """Return the mass that the better tokens had reached before each."""
        values = before.values
        ascending = np.sort(values)
        p = np.sort(softmax32(values)).astype(np.float64)
        where = places(before, ids)
        reached: list[str] = []
        for place, end in zip(where, ascending.searchsorted(values[where], side="right"), strict=True):
            # mass = sum of p_j over all better tokens, and over equal ones with a lower id
            equals_before = np.count_nonzero(values[:place] == values[place])
            mass = np.add.reduce(p[end:]) + equals_before * p[end - 1]
            reached.append(f"{mass:.4f} reached before it")
        return reached


@dataclass(frozen=True, repr=False, eq=False)
class MinP(Stage):
    """Removes the tokens less likely than m times the most likely one (Nguyen et al., 2024).

    keep i with p_i >= m * max_j p_j

    Attributes:
        m: The share, between 0 and 1; 0 keeps all.
    """

    truncates: ClassVar[bool] = True

    m: float

    def __post_init__(self) -> None:
        if not 0 <= self.m <= 1:
            raise MinilmError(f"MinP must lie between 0 and 1, got {self.m}")

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors with a probability of at least m times the largest."""
        p = softmax32(scores.values)
        # keep i with p_i >= m * max_j p_j
        return scores.keep(p >= np.float32(self.m) * largest(p), self._find_cut(scores.values))

    def _find_cut(self, values: Array) -> float | None:
        """Return the distance of the nearest score to the least one that is kept; the best always is."""
        if not self.m:
            return None
        best = values.argmax()
        # p_i >= m * p_best is the same as s_i >= s_best + ln m.
        away = np.abs(values - (values[best] + np.float32(log(self.m))))
        away[best] = np.inf
        cut = float(away[away.argmin()])
        return cut if cut < np.inf else None

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return the two numbers that were compared."""
        p = softmax32(before.values)
        return [f"{v:.4g} < {self.m} × {p.max():.4g}" for v in p[places(before, ids)].tolist()]


def _find_values(scores: Scores, ids: Sequence[int]) -> Array:
    return scores.values[places(scores, ids)]
