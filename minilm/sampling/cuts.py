"""How near each truncation was to keeping other tokens, and the bisection that finds such distances.

What that means for the token that was chosen is in margin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minilm.one_line import one_line
from minilm.records import Array
from minilm.sampling.scores import Context, Scores
from minilm.sampling.stage import Stage, run

__all__ = ["LIKELIEST", "MOST", "Cut", "Truncation", "between", "nearest", "smallest", "truncations"]

MOST = 20.0  # nats; a factor of 5e8 in probability
LIKELIEST = 3  # tokens tried on each side of the chosen one, and at each cut
_EQUAL = 3e-5  # nats, so that a wobble may exchange them
_STEPS = 48  # of a bisection; float32 scores end it earlier


@dataclass(frozen=True, slots=True)
class Cut:
    """How near a truncation was to keeping other tokens: the logit of `token`, changed by `by` nats."""

    stage: str
    token: int
    by: float


@dataclass(frozen=True, slots=True, eq=False)
class Truncation:
    """One truncation within a pipeline: the scores before and after it."""

    stage: Stage
    before: Scores
    after: Scores

    __repr__ = one_line

    @property
    def worst(self) -> int:
        """The id of the lowest score that was kept."""
        return int(self.after.ids[np.argmin(self.after.values)])

    @property
    def outermost(self) -> list[int]:
        """The ids of the lowest and of the highest score that were kept, and of some as good as those."""
        ids, values = self.after.ids, self.after.values
        order = np.argsort(values, kind="stable")
        low, high = order[:LIKELIEST], order[::-1][:LIKELIEST]
        near = [low[values[low] <= values[low[0]] + _EQUAL], high[values[high] >= values[high[0]] - _EQUAL]]
        return list(dict.fromkeys(ids[np.concatenate(near)].tolist()))

    @property
    def edge(self) -> list[int]:
        """The ids nearest to the cut: the lowest and highest kept, the highest removed."""
        gone = ~np.isin(self.before.ids, self.after.ids)
        ids, values = self.before.ids[gone], self.before.values[gone]
        highest = ids[np.argsort(-values, kind="stable")[:LIKELIEST]].tolist()
        return [self.worst, int(self.after.ids[np.argmax(self.after.values)]), *highest]


def truncations(logits: Array, context: Context, stages: Sequence[Stage]) -> Iterator[Truncation]:
    """Every truncating stage of a pipeline with the scores before and after it, from logits (V,)."""
    return between(run(logits, context, stages), stages)


def between(scores: Iterable[Scores], stages: Sequence[Stage]) -> Iterator[Truncation]:
    """The same from the scores of a run: the model's own, and those that each stage left."""
    for stage, (before, after) in zip(stages, pairwise(scores), strict=True):
        if stage.truncates:
            yield Truncation(stage, before, after)


def nearest(run: Truncation, context: Context) -> Cut | None:
    """The smallest change of one score near the cut after which other tokens are kept."""

    def other(token: int, by: float) -> bool:
        values = run.before.values.copy()
        values[np.searchsorted(run.before.ids, token)] += np.float32(by)
        kept = run.stage(Scores(run.before.ids, values), context).ids
        return not np.array_equal(kept, run.after.ids)

    best: Cut | None = None
    for token in dict.fromkeys(run.edge):
        for sign in (1, -1):
            by = smallest(lambda x, t=token, s=sign: other(t, s * x), abs(best.by) if best else MOST)
            if by is not None:
                best = Cut(run.stage.label, token, sign * by)
    return best


def smallest(flips: Callable[[float], bool], most: float) -> float | None:
    """The least x in (0, most] at which flips(x) turns true, by a ladder of fours and then bisection."""
    low, high = 0.0, 1e-7
    while high < most and not flips(high):
        low, high = high, 4 * high
    high = min(high, most)
    if not flips(high) or high == low:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if flips(middle) else (middle, high)
        if high - low <= 1e-9 * high:
            break
    return high
