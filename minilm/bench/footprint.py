"""The footprint of minilm: how long it takes to start, and how much memory a long run needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from minilm.backends import create
from minilm.bench.measure import Figure, seconds
from minilm.bench.workloads import PROMPT, STAGES, FakeCodec
from minilm.generation import Session, open_session, start
from minilm.records import ModelConfig
from minilm.trace import TraceWriter

__all__ = ["measure_imports", "measure_memory", "megabytes"]

_IMPORT = "from time import perf_counter as now; t = now(); import minilm; print(now() - t)"
_WINDOW = 100  # places that the session keeps


def _time_import() -> float:
    """Return the seconds of the import in a fresh Python, without Python's own start."""
    return float(subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, check=True).stdout)


def _time_help() -> float:
    """Return the seconds of a whole `minilm --help`, Python's own start included."""
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "minilm", "--help"], capture_output=True, check=True)
    return perf_counter() - began


def measure_imports(quick: bool) -> Iterator[Figure]:
    """Measure how long it takes until minilm is there: its import, and the first help page."""
    runs = 3 if quick else 11
    yield seconds("import minilm", _time_import, runs, 0.2)
    yield seconds("minilm --help", _time_help, runs, 0.4)


def megabytes() -> float:
    """Return the resident size of this process; on macOS the largest so far."""
    # Windows has no such module, so it is imported only here.
    import resource

    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_memory(quick: bool) -> Iterator[Figure]:
    """Measure the megabytes that 10,000 explained steps with a trace file add.

    The session keeps 100 places, so only ids and text may grow. The first tenth of the steps is not counted,
    because it fills the caches.
    """
    steps = 1_000 if quick else 10_000
    cursor = start(
        create("numpy", ModelConfig(512)), FakeCodec(512), PROMPT, STAGES, max_tokens=None, eos_ids=()
    )
    with open(os.devnull, "w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:

        def advance(session: Session, count: int) -> Session:
            def write_steps() -> Iterator[Session]:
                for now in session.run(count):
                    trace.step(now.here.kept[-1])
                    yield now

            return deque(write_steps(), maxlen=1)[0]

        session = advance(open_session(cursor, _WINDOW), steps // 10)
        before = megabytes()
        advance(session, steps - steps // 10)
        grown = max(megabytes() - before, 0.0)
    yield Figure(f"memory of {steps:,} steps with a trace", grown, grown, grown, 1, 8.0, False, "MB")
