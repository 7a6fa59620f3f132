"""The run of the stages over one distribution, and what each did to it, measured in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.records import Array, StageEffect
from minilm.sampling.scores import Context, Scores, largest, places
from minilm.sampling.stage import Stage, run

__all__ = ["Ledger", "Point", "find_drawn", "find_ends", "find_interval", "is_drawn"]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """The distribution over S survivors at one point of the run, by its log-sum-exp and entropy (nats).

    Its probabilities are made again where they are asked for: to keep them would cost more, in memory.
    """

    scores: Scores
    lse: float
    entropy: float

    @classmethod
    def of(cls, scores: Scores) -> Point:
        """That of some scores, in float64."""
        top = float(largest(scores.values))
        shifted = scores.values.astype(np.float64)
        shifted -= top
        powers = np.exp(shifted)
        total = float(np.add.reduce(powers))
        log = math.log(total)
        entropy = log - float(powers.dot(shifted)) / total
        return cls(scores, top + log, max(entropy, 0.0))

    @property
    def p(self) -> Array:
        """The probabilities, (S,) in ascending order of the survivors' ids."""
        logp = self.scores.values.astype(np.float64)
        logp -= self.lse
        return np.exp(logp, out=logp)


def find_ends(p: Array) -> Array:
    """Return where each interval of the draw ends: the cumulative sum of p, over its last number.

    A draw u in [0, 1) falls on the first token whose end is above u; its interval begins at the end before.

    Args:
        p: (S,) probabilities in ascending order of the survivors' ids.

    >>> find_ends(np.array([0.25, 0.5, 0.25])).tolist()
    [0.25, 0.75, 1.0]
    """
    ends = p.cumsum()
    ends /= ends[-1]
    return ends


def find_drawn(ends: Array, draws: Array | float) -> Array:
    """Return the place of the token that each draw falls on, in the order of the draws.

    >>> find_drawn(np.array([0.25, 0.75, 1.0]), np.array([0.0, 0.25, 0.9])).tolist()
    [0, 1, 2]
    """
    return np.asarray(ends.searchsorted(draws, side="right"))


def find_interval(ends: Array, place: int) -> tuple[float, float]:
    """Return the interval [low, high) of the draws that fall on the token at a place.

    >>> find_interval(np.array([0.25, 0.75, 1.0]), 1)
    (0.25, 0.75)
    """
    return (float(ends[place - 1]) if place else 0.0), float(ends[place])


def is_drawn(scores: Scores, u: float | None, token_id: int) -> bool:
    """Return whether a draw u (None: the best one) takes this token, without the intervals of the others.

    >>> is_drawn(Scores.of(np.zeros(4)), 0.3, 1)
    True
    """
    if u is None:
        return bool(scores.ids[scores.values.argmax()] == token_id)
    found = places(scores, [token_id])
    if not found.size:
        return False
    p, place = Point.of(scores).p, int(found[0])
    below, above = float(np.add.reduce(p[:place])), float(np.add.reduce(p[place + 1 :]))
    total = below + float(p[place]) + above
    return below <= u * total and (not above or u * total < total - above)


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The run of the stages over one distribution: stages + 1 points, the model's own first."""

    stages: Sequence[Stage]
    points: Sequence[Point]
    context: Context
    vocab_size: int

    @classmethod
    def of(cls, logits: Array, stages: Sequence[Stage], context: Context) -> Ledger:
        """Run the stages over logits (V,). Raises MinilmError where one leaves nothing."""
        points: list[Point] = []
        for scores in run(logits, context, stages):
            points.append(points[-1] if points and scores is points[-1].scores else Point.of(scores))
        return cls(stages, points, context, logits.size)

    @property
    def survivors(self) -> Scores:
        """What the last stage left."""
        return self.points[-1].scores

    @property
    def p_final(self) -> Array:
        """The probabilities that the draw falls on, (S,) in ascending order of the survivors' ids."""
        return self.points[-1].p

    @property
    def entropies(self) -> tuple[float, float]:
        """Nats of the model's own distribution, and of the one that the draw falls on."""
        return self.points[0].entropy, self.points[-1].entropy

    def follow(self, ids: Array) -> Array:
        """Log-probabilities (stages + 1, C) of some ids at every point, -inf where they are gone."""
        logp = np.empty((len(self.points), ids.size))
        everyone = None
        for row, point in zip(logp, self.points, strict=True):
            scores = point.scores
            if scores.ids.size == self.vocab_size:  # an id is its own place
                row[:] = scores.values[ids]
                continue
            if everyone is None:
                everyone = np.full(self.vocab_size, -np.inf, np.float32)
            everyone[scores.ids] = scores.values
            row[:] = everyone[ids]
            everyone[scores.ids] = -np.inf
        logp -= np.array([[point.lse] for point in self.points])
        return logp

    def effects(
        self, chosen: Sequence[float], watched: Mapping[int, Sequence[float]]
    ) -> tuple[StageEffect, ...]:
        """A row for each stage, from the log-probabilities at every point of the ids that are followed."""
        rows: list[StageEffect] = []
        for n, stage in enumerate(self.stages):
            before, after = self.points[n], self.points[n + 1]
            changes = {i: _change(logp[n], logp[n + 1]) for i, logp in watched.items()}
            rows.append(
                StageEffect(
                    stage.label,
                    after.scores.ids.size,
                    self._mass_kept(n),
                    after.entropy,
                    _change(chosen[n], chosen[n + 1]),
                    changes,
                    stage.note(self.context),
                    None if after is before else after.scores.cut,
                )
            )
        return tuple(rows)

    def _mass_kept(self, n: int) -> float:
        """Share of the probability before stage n that its survivors held."""
        before, after, truncates = self.points[n], self.points[n + 1], self.stages[n].truncates
        had, left = before.scores.ids, after.scores.ids
        if left is had or (truncates and left.size == had.size):
            return 1.0
        if truncates:
            return min(math.exp(after.lse - before.lse), 1.0)
        values = before.scores.values[places(before.scores, left)]
        return min(float(np.exp(values.astype(np.float64) - before.lse).sum()), 1.0)


def _change(before: float, after: float) -> float | None:
    return None if after == -math.inf or before == -math.inf else after - before
