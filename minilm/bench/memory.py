"""What a long run costs in memory: 10,000 explained steps with a trace file, and the past of a debugger."""

from __future__ import annotations

import os
import resource
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from minilm.backends import create
from minilm.bench.measure import Figure
from minilm.bench.streaming import PROMPT, STAGES
from minilm.bench.words import Words
from minilm.generation import Session, open_session, start
from minilm.records import ModelConfig
from minilm.trace import TraceWriter

__all__ = ["figures", "megabytes"]

_WINDOW = 100  # places kept


def megabytes() -> float:
    """The resident size of this process; on macOS the largest so far, and Windows tells neither."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def figures(quick: bool = False) -> Iterator[Figure]:
    """Megabytes that all steps but the first tenth add, in bounded mode: only ids and text may grow."""
    steps = 1_000 if quick else 10_000
    cursor = start(create("numpy", ModelConfig(512)), Words(512), PROMPT, STAGES, max_tokens=None, eos_ids=())
    with open(os.devnull, "w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:

        def ahead(session: Session, count: int) -> Session:
            def written() -> Iterator[Session]:
                for now in session.running(count):
                    trace.step(now.here.kept[-1])
                    yield now

            return deque(written(), maxlen=1)[0]

        session = ahead(open_session(cursor, _WINDOW), steps // 10)
        before = megabytes()
        ahead(session, steps - steps // 10)
        grown = max(megabytes() - before, 0.0)
    yield Figure(f"memory of {steps:,} steps with a trace", grown, grown, grown, 1, 8.0, False, "MB")
