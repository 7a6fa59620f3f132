"""The tokens that a decision shows: the best ones and those that were asked for.

What happened to them in the stages is read from the ledger (ledger.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from minilm.numerics import contenders, rank
from minilm.records import Array, Candidate, Removal
from minilm.sampling.ledger import Ledger
from minilm.sampling.stage import Stage
from minilm.sampling.stages.common import Temperature

__all__ = ["ShownTokens", "describe_candidates"]


class ShownTokens(NamedTuple):
    """The tokens that a decision shows, with their probabilities.

    Attributes:
        candidates: The candidates, best first by logit.
        logp: For each id that was asked for, its log-probability at every point of the ledger.
        p_best: The model's probabilities of the best tokens, best first.
    """

    candidates: tuple[Candidate, ...]
    logp: Mapping[int, Sequence[float]]
    p_best: Array

    def candidate(self, token_id: int) -> Candidate:
        """Return the candidate of an id that was asked for."""
        return next(candidate for candidate in self.candidates if candidate.id == token_id)


def describe_candidates(
    ledger: Ledger,
    logits: Array,
    texts: Callable[[int], tuple[str, bytes]],
    top: int,
    asked: Sequence[int],
    enough: int,
) -> ShownTokens:
    """Return the best tokens and those that were asked for, each with what happened to it.

    Args:
        ledger: The run of the stages over these logits.
        logits: (V,) float32.
        texts: Gives the text and the bytes of an id.
        top: How many of the best tokens are shown.
        asked: Ids that are shown in any case.
        enough: How many probabilities `p_best` holds, if the vocabulary has as many tokens.
    """
    best = _find_best(logits, max(top, enough))
    ids, ranks = _rank(logits, best.tolist(), top, asked)
    wanted = np.array(ids)
    logp = ledger.follow(wanted)  # (stages + 1, C)
    p, rows = np.exp(logp), logp.tolist()
    columns = p[0].tolist(), rows[0], p[_count_to_temperature(ledger.stages)].tolist(), p[-1].tolist(), ranks
    named, removed = zip(*map(texts, ids), strict=True), _find_removals(ledger, ids, rows)
    return ShownTokens(
        tuple(map(Candidate, ids, *named, logits[wanted].tolist(), *columns, removed)),
        {i: [row[ids.index(i)] for row in rows] for i in asked},
        np.exp(logits[best].astype(np.float64) - ledger.points[0].lse),
    )


def _find_best(logits: Array, n: int) -> Array:
    """Return the ids of the n largest logits, best first, the lower id first among equals."""
    if logits.size <= 2 * n:
        return (-logits).argsort(kind="stable")[:n]
    values = contenders(logits, n)
    values.partition(values.size - n)
    some = (logits >= values[values.size - n]).nonzero()[0]
    return some[(-logits[some]).argsort(kind="stable")][:n]


def _rank(logits: Array, best: Sequence[int], top: int, wanted: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the ids of the candidates, best first, and their ranks over the whole vocabulary.

    Args:
        logits: (V,) float32.
        best: The ids of the best tokens, best first, `top` or more.
        top: How many of them are shown.
        wanted: Ids that are shown too.
    """
    ids = list(best[:top])
    ranked = ((best.index(i) + 1 if i in best else rank(logits, i), i) for i in wanted if i not in ids)
    extra = sorted(set(ranked))
    return ids + [i for _, i in extra], [*range(1, len(ids) + 1), *(place for place, _ in extra)]


def _count_to_temperature(stages: Sequence[Stage]) -> int:
    """Return the number of stages up to the first Temperature, or 0 if there is none."""
    return next((n + 1 for n, stage in enumerate(stages) if isinstance(stage, Temperature)), 0)


def _find_removals(
    ledger: Ledger, ids: Sequence[int], logp: Sequence[Sequence[float]]
) -> list[Removal | None]:
    """Return which stage removed each candidate, and why, or None; logp: (stages + 1, C)."""
    removed: list[Removal | None] = [None] * len(ids)
    by_stage: dict[int, list[int]] = {}
    for column, last in enumerate(logp[-1]):
        if last == -math.inf:
            before = [n for n, row in enumerate(logp) if row[column] > -math.inf]
            by_stage.setdefault(before[-1] if before else -1, []).append(column)
    for n, columns in by_stage.items():
        if n < 0:
            stage, reasons = "model", ["its logit is -inf"] * len(columns)
        else:
            gone = [ids[column] for column in columns]
            stage = ledger.stages[n].label
            reasons = ledger.stages[n].reasons(ledger.points[n].scores, ledger.context, gone)
        for column, why in zip(columns, reasons, strict=True):
            removed[column] = Removal(stage, why)
    return removed
