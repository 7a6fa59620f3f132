"""Run the stages over one distribution, measure in float64 what each did, and find where a draw falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.records import Array, StageEffect
from minilm.sampling.scores import Context, Scores, largest, places
from minilm.sampling.stage import Stage, run_stages

__all__ = [
    "Ledger",
    "Point",
    "choose_token",
    "draw_ids",
    "find_drawn",
    "find_ends",
    "find_interval",
    "find_survivors",
    "is_drawn",
]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """The distribution over S survivors at one point of the run.

    The probabilities are computed again when they are asked for, because to keep them takes more memory.

    Attributes:
        scores: The survivors and their scores.
        lse: The log-sum-exp of the scores.
        entropy: The entropy of the distribution, in nats.
    """

    scores: Scores
    lse: float
    entropy: float

    @classmethod
    def of(cls, scores: Scores) -> Point:
        """Measure some scores in float64."""
        top = float(largest(scores.values))
        shifted = scores.values.astype(np.float64)
        shifted -= top
        powers = np.exp(shifted)
        total = float(np.add.reduce(powers))
        # lse = max s + ln sum e^(s - max s)
        log = math.log(total)
        # H = -sum p ln p, with ln p = (s - max s) - log
        entropy = log - float(powers.dot(shifted)) / total
        return cls(scores, top + log, max(entropy, 0.0))

    @property
    def p(self) -> Array:
        """The probabilities, (S,) in ascending order of the survivors' ids."""
        # p = e^(s - lse)
        logp = self.scores.values.astype(np.float64)
        logp -= self.lse
        return np.exp(logp, out=logp)


def find_ends(p: Array) -> Array:
    """Return where each interval of the draw ends: the cumulative sum of p, over its last number.

    A draw u in [0, 1) falls on the first token whose end is above u. Its interval begins at the end of the
    token before.

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
    """Return whether a draw u takes this token, without the intervals of the others.

    Args:
        scores: The survivors of the last stage, with their scores.
        u: The draw in [0, 1); None to take the best token.
        token_id: The id that is asked about.

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


def draw_ids(scores: Scores, draws: Array) -> Array:
    """Return the ids that draws (D,) in [0, 1) fall on, over the softmax of the scores.

    >>> draw_ids(Scores.of(np.zeros(4)), np.array([0.0, 0.3, 0.9])).tolist()
    [0, 1, 3]
    """
    return scores.ids[find_drawn(find_ends(Point.of(scores).p), draws)]


def find_survivors(logits: Array, context: Context, stages: Sequence[Stage]) -> Scores:
    """Return what the stages leave of logits (V,). Raise MinilmError if a stage leaves nothing."""
    *_, last = run_stages(logits, context, stages)
    return last


def choose_token(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> int:
    """Return the id that decide() would choose from logits (V,), without keeping the ledger.

    >>> choose_token(np.array([0.0, 2.0]), Context(np.array([0])), [], None)
    1
    """
    scores = find_survivors(logits, context, stages)
    if u is None:
        return int(scores.ids[scores.values.argmax()])
    return int(draw_ids(scores, np.array([u]))[0])


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The run of the stages over one distribution.

    Attributes:
        stages: The stages, in order.
        points: The distribution before the first stage (the model's own) and after each stage.
        context: Where the token is chosen.
        vocab_size: V.
    """

    stages: Sequence[Stage]
    points: Sequence[Point]
    context: Context
    vocab_size: int

    @classmethod
    def of(cls, logits: Array, stages: Sequence[Stage], context: Context) -> Ledger:
        """Run the stages over logits (V,). Raise MinilmError if one leaves nothing."""
        points: list[Point] = []
        for scores in run_stages(logits, context, stages):
            unchanged = bool(points) and scores is points[-1].scores
            points.append(points[-1] if unchanged else Point.of(scores))
        return cls(stages, points, context, logits.size)

    @property
    def survivors(self) -> Scores:
        """The survivors of the last stage, with their scores."""
        return self.points[-1].scores

    @property
    def p_final(self) -> Array:
        """The probabilities that the draw falls on, (S,) in ascending order of the survivors' ids."""
        return self.points[-1].p

    @property
    def entropies(self) -> tuple[float, float]:
        """The entropy of the model's own distribution and of the final one, in nats."""
        return self.points[0].entropy, self.points[-1].entropy

    def follow(self, ids: Array) -> Array:
        """Return the log-probabilities (stages + 1, C) of C ids at every point, -inf where one is removed."""
        logp = np.empty((len(self.points), ids.size))
        everyone = None
        for row, point in zip(logp, self.points, strict=True):
            scores = point.scores
            if scores.ids.size == self.vocab_size:
                # Nothing is removed yet, so an id is its own place.
                row[:] = scores.values[ids]
                continue
            if everyone is None:
                everyone = np.full(self.vocab_size, -np.inf, np.float32)
            everyone[scores.ids] = scores.values
            row[:] = everyone[ids]
            # Ready for the next point: as it was, without a new array.
            everyone[scores.ids] = -np.inf
        logp -= np.array([[point.lse] for point in self.points])
        return logp

    def describe_effects(
        self, chosen: Sequence[float], watched: Mapping[int, Sequence[float]]
    ) -> tuple[StageEffect, ...]:
        """Return a row for each stage.

        Args:
            chosen: The log-probability of the chosen token at every point.
            watched: The same for each watched id.
        """
        rows: list[StageEffect] = []
        for n, stage in enumerate(self.stages):
            before, after = self.points[n], self.points[n + 1]
            changes = {i: _subtract(logp[n + 1], logp[n]) for i, logp in watched.items()}
            rows.append(
                StageEffect(
                    stage.label,
                    after.scores.ids.size,
                    self._find_mass_kept(n),
                    after.entropy,
                    _subtract(chosen[n + 1], chosen[n]),
                    changes,
                    stage.note(self.context),
                    None if after is before else after.scores.cut,
                )
            )
        return tuple(rows)

    def _find_mass_kept(self, n: int) -> float:
        """Return the share of the probability before stage n that its survivors had."""
        before, after, truncates = self.points[n], self.points[n + 1], self.stages[n].truncates
        had, left = before.scores.ids, after.scores.ids
        if left is had or (truncates and left.size == had.size):
            return 1.0
        if truncates:
            # The scores that are kept did not change: sum_kept e^s / sum_all e^s = e^(lse_after - lse_before)
            return min(math.exp(after.lse - before.lse), 1.0)
        values = before.scores.values[places(before.scores, left)]
        return min(float(np.exp(values.astype(np.float64) - before.lse).sum()), 1.0)


def _subtract(after: float, before: float) -> float | None:
    return None if after == -math.inf or before == -math.inf else after - before
