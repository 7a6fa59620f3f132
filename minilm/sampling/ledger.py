"""The run of the stages over one distribution, and what each did to it, measured in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array, StageEffect
from minilm.sampling.scores import Context, Scores, places
from minilm.sampling.stages import Stage

__all__ = ["Ledger"]


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """The distribution over S survivors at one point of the run, by its log-sum-exp and entropy (nats).

    Its probabilities are made again where they are asked for: to keep them would cost more, in memory.
    """

    scores: Scores
    lse: float
    entropy: float

    @classmethod
    def of(cls, scores: Scores) -> _Point:
        shifted = scores.values.astype(np.float64)
        top = float(np.maximum.reduce(shifted))
        shifted -= top
        powers = np.exp(shifted)
        total = float(np.add.reduce(powers))
        log = math.log(total)
        entropy = log - float(powers.dot(shifted)) / total
        return cls(scores, top + log, max(entropy, 0.0))

    def logp(self, places: Any) -> Array:
        """Log-probabilities of the survivors at some places."""
        return self.scores.values[places].astype(np.float64) - self.lse

    def follow(self, ids: Array, vocab_size: int) -> Array:
        """Log-probabilities (C,) of some ids, -inf where they are gone."""
        everyone = np.full(vocab_size, -np.inf)
        everyone[self.scores.ids] = self.scores.values
        return everyone[ids] - self.lse


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The run of the stages over one distribution: stages + 1 points, the model's own first."""

    stages: Sequence[Stage]
    points: Sequence[_Point]
    context: Context
    vocab_size: int

    @classmethod
    def of(cls, logits: Array, stages: Sequence[Stage], context: Context) -> Ledger:
        """Run the stages over logits (V,). Raises MinilmError where one leaves nothing."""
        points = [_Point.of(Scores.of(logits))]
        for stage in stages:
            scores = stage(points[-1].scores, context)
            if not scores.ids.size:
                raise MinilmError(f"{stage!r} removed every token, so none can follow; loosen it")
            points.append(points[-1] if scores is points[-1].scores else _Point.of(scores))
        return cls(stages, points, context, logits.size)

    @property
    def survivors(self) -> Scores:
        """What the last stage left."""
        return self.points[-1].scores

    @property
    def p_final(self) -> Array:
        """The probabilities that the draw falls on, (S,) in ascending order of the survivors' ids."""
        return np.exp(self.points[-1].logp(slice(None)))

    @property
    def entropies(self) -> tuple[float, float]:
        """Nats of the model's own distribution, and of the one that the draw falls on."""
        return self.points[0].entropy, self.points[-1].entropy

    def p_model(self, ids: Array) -> Array:
        """The model's own probabilities of some ids; 0 where the logit is -inf."""
        return np.exp(self._followed(self.points[0], ids))

    def follow(self, ids: Sequence[int]) -> Array:
        """Log-probabilities (stages + 1, C) of some ids at every point, -inf where they are gone."""
        wanted, rows = np.array(ids), []
        for n, point in enumerate(self.points):
            same = n and point is self.points[n - 1]
            rows.append(rows[-1] if same else self._followed(point, wanted))
        return np.array(rows)

    def _followed(self, point: _Point, ids: Array) -> Array:
        """The log-probabilities of ids; where all of the vocabulary is there, an id is its own place."""
        if point.scores.ids.size == self.vocab_size:
            return point.logp(ids)
        return point.follow(ids, self.vocab_size)

    def effects(
        self, ids: Sequence[int], logp: Array, chosen: int, watch: Sequence[int]
    ) -> tuple[StageEffect, ...]:
        """A row for each stage; logp (P, C) is what follow() said of these ids."""
        columns = {i: logp[:, ids.index(i)].tolist() for i in (chosen, *watch)}
        result = []
        for n, stage in enumerate(self.stages):
            change = {i: _change(column[n], column[n + 1]) for i, column in columns.items()}
            after = self.points[n + 1]
            kept, size = self._mass_kept(n), after.scores.ids.size
            watched = {i: change[i] for i in watch}
            facts = (change[chosen], watched, stage.note(self.context))
            result.append(StageEffect(stage.label, size, kept, after.entropy, *facts))
        return tuple(result)

    def _mass_kept(self, n: int) -> float:
        """Share of the probability before stage n that its survivors held."""
        before, after = self.points[n], self.points[n + 1]
        if after.scores.ids.size == before.scores.ids.size:
            return 1.0
        if self.stages[n].truncates:
            return min(math.exp(after.lse - before.lse), 1.0)
        kept = np.exp(before.logp(places(before.scores, after.scores.ids)))
        return min(float(np.add.reduce(kept)), 1.0)


def _change(before: float, after: float) -> float | None:
    return None if -np.inf in (before, after) else after - before
