"""How long it takes until minilm is there: its import, and the first help page.

Each in a fresh Python; the import without Python's own start, the help page with it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from time import perf_counter

from minilm.bench.measure import Figure, seconds

__all__ = ["figures"]

_IMPORT = "from time import perf_counter as now; t = now(); import minilm; print(now() - t)"


def _import_seconds() -> float:
    return float(subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, check=True).stdout)


def _help_seconds() -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-m", "minilm", "--help"], capture_output=True, check=True)
    return perf_counter() - start


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds of `import minilm` and of `minilm --help`."""
    runs = 3 if quick else 11
    yield seconds("import minilm", _import_seconds, runs, 0.2)
    yield seconds("minilm --help", _help_seconds, runs, 0.4)
