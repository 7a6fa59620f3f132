"""Constraints: what a step costs beyond llguidance's own time, both masks and their count included."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from minilm.bench.measure import Figure, seconds
from minilm.bench.workloads import FakeCodec
from minilm.sampling import Context, Scores
from minilm.sampling.constraints.stage import Regex

__all__ = ["measure_constraint"]

_BAR = 1e-4  # seconds a step at V = 4,000
_VOCABULARY = 4000


class _CodecWithoutEncode(FakeCodec):
    """The fake codec for a grammar, which asks for the ids of parts of words; there are none."""

    def encode(self, text: str, special: bool = False) -> list[int]:
        return []


def measure_constraint(quick: bool) -> Iterator[Figure]:
    """Measure the seconds that a step takes beyond llguidance, at V = 4,000."""
    steps, runs = (100, 3) if quick else (400, 7)
    codec = _CodecWithoutEncode(_VOCABULARY)
    stage = Regex("( w[0-9]+)*").bind(codec)
    ids = np.random.default_rng(0).integers(10, _VOCABULARY, steps + 1)
    alone = _LlguidanceAlone(stage.matcher, ids)

    def measure() -> float:
        return _time_stage(stage, ids) - alone.time_step()

    yield seconds(f"constraint beyond llguidance, a step, V={_VOCABULARY}", measure, runs, _BAR)


def _time_stage(stage: Any, ids: Any) -> float:
    """Return the seconds of the median step, so that a step that another process delayed does not count."""
    scores, times = Scores.of(np.zeros(_VOCABULARY, np.float32)), []
    for n in range(1, len(ids)):
        context, after = Context(ids[:n], 0), Context(ids[: n + 1], 0)
        began = perf_counter()
        stage(scores, context)
        stage.note(context)
        stage.ending(after)
        times.append(perf_counter() - began)
    return median(times)


class _LlguidanceAlone:
    """llguidance alone on the same tokens: two matchers read every token and give masks."""

    def __init__(self, matcher: Any, ids: Any) -> None:
        from llguidance import LLMatcher

        view, lark = matcher.view, matcher.lark
        larks = (lark, '%llguidance {"no_forcing": true}\n' + lark)
        self._fresh = [LLMatcher(view, text, log_level=0) for text in larks]
        self._ids = ids.tolist()
        self._bits = np.zeros((_VOCABULARY + 32) // 32, np.int32)

    def time_step(self) -> float:
        """Return the seconds of the median step."""
        matchers, times = [fresh.deep_copy() for fresh in self._fresh], []
        for token_id in self._ids:
            began = perf_counter()
            for matcher in matchers:
                matcher.consume_token(token_id)
                matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
            times.append(perf_counter() - began)
        return median(times)
