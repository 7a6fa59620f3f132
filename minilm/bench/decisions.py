"""The time to explain a step, with six stages, their ledger and ten candidates; and of a step in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter

import numpy as np

from minilm.backends import create
from minilm.bench.measure import Figure, seconds
from minilm.bench.workloads import PROMPT, FakeCodec
from minilm.dice import generator
from minilm.generation import start
from minilm.records import ModelConfig
from minilm.sampling import Context, decide, parse
from minilm.token_text import TokenTexts

__all__ = ["figures"]

SIX = "RepetitionPenalty(1.1) Bias({20: 1.0}) Temperature(0.8) TopK(40) TopP(0.9) MinP(0.05)"
NUCLEUS_FIRST = "TopP(0.9) RepetitionPenalty(1.1) Bias({20: 1.0}) Temperature(0.8) TopK(40) MinP(0.05)"


def figures(quick: bool = False) -> Iterator[Figure]:
    """Yield the seconds of a decision, by vocabulary, and of a whole step in NumPy at V = 512."""
    runs, steps = (3, 50) if quick else (7, 300)
    for size, bar, nucleus_bar in ((50_257, 3e-3, 1.5e-3), (4_000, 3.5e-4, 3e-4)):
        yield seconds(
            f"six stages explained, a step, V={size:,}", _measure_decisions(size, SIX, steps), runs, bar
        )
        name = f"the same with TopP first, V={size:,}"
        yield seconds(name, _measure_decisions(size, NUCLEUS_FIRST, steps // 5), runs, nucleus_bar)
    yield seconds("a full step in NumPy, six stages, V=512", _measure_steps(512, steps), runs, 1 / 4_000)


def _measure_decisions(size: int, stages: str, steps: int) -> Callable[[], float]:
    """Return a measurement: the seconds of the median decision over random logits."""
    codec = FakeCodec(size)
    bound = [stage.bind(codec) for stage in parse(stages)]
    logits = generator(0, "bench").standard_normal((8, size), np.float32) * 3
    context, texts = Context(np.arange(10, 40), 10, (3,)), TokenTexts(codec)

    def measure() -> float:
        times = []
        for n in range(steps):
            started = perf_counter()
            decide(logits[n % 8], context, bound, 0.37, texts)
            times.append(perf_counter() - started)
        return median(times)

    return measure


def _measure_steps(size: int, steps: int) -> Callable[[], float]:
    """Return a measurement: the seconds of the median step of a stream, with the forward step."""
    model, codec = create("numpy", ModelConfig(size)), FakeCodec(size)

    def measure() -> float:
        cursor = start(model, codec, PROMPT, SIX, 1, max_tokens=None, eos_ids=())
        times = []
        for _ in range(steps):
            started = perf_counter()
            cursor.peek()
            cursor = cursor.advance()
            times.append(perf_counter() - started)
        return median(times)

    return measure
