"""What a constraint costs a step beyond llguidance's own time, both masks and their count included."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from minilm.bench.measure import Figure, seconds
from minilm.bench.words import Words
from minilm.sampling import Context, Scores
from minilm.sampling.constraints.stage import Regex

__all__ = ["figures"]

_BAR = 1e-4  # seconds a step at V = 4,000
_VOCABULARY = 4000


class _Pieces(Words):
    """Words that write every text by their longest pieces, as a grammar asks for parts of words."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        return []


def figures(quick: bool = False) -> Iterator[Figure]:
    """Seconds a step beyond llguidance, at V = 4,000."""
    steps, runs = (100, 3) if quick else (400, 7)
    codec = _Pieces(_VOCABULARY)
    stage = Regex("( w[0-9]+)*").bind(codec)
    ids = np.random.default_rng(0).integers(10, _VOCABULARY, steps + 1)
    own = _Llguidance(stage.matcher, ids)

    def measured() -> float:
        return _stage(stage, ids) - own.seconds()

    yield seconds(f"constraint beyond llguidance, a step, V={_VOCABULARY}", measured, runs, _BAR)


def _stage(stage: Any, ids: Any) -> float:
    """Seconds of the median step: another process that takes the core for a while does not count."""
    scores, times = Scores.of(np.zeros(_VOCABULARY, np.float32)), []
    for n in range(1, len(ids)):
        context, after = Context(ids[:n], 0), Context(ids[: n + 1], 0)
        begun = perf_counter()
        stage(scores, context)
        stage.note(context)
        stage.ending(after)
        times.append(perf_counter() - begun)
    return median(times)


class _Llguidance:
    """The same tokens through llguidance alone: two matchers that read every token and give masks."""

    def __init__(self, matcher: Any, ids: Any) -> None:
        from llguidance import LLMatcher

        view, lark = matcher.view, matcher.lark
        larks = (lark, '%llguidance {"no_forcing": true}\n' + lark)
        self._fresh = [LLMatcher(view, text, log_level=0) for text in larks]
        self._ids = ids.tolist()
        self._bits = np.zeros((_VOCABULARY + 32) // 32, np.int32)

    def seconds(self) -> float:
        """Of the median step."""
        matchers, times = [fresh.deep_copy() for fresh in self._fresh], []
        for token_id in self._ids:
            begun = perf_counter()
            for matcher in matchers:
                matcher.consume_token(token_id)
                matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
            times.append(perf_counter() - begun)
        return median(times)
