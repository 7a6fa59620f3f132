"""The speed of every backend here; each figure is a ratio to what anyone would write without minilm.

One file per framework holds the plain loops. Each bench runs in a process of its own, so that the threads of
one framework do not slow another down. Times in seconds depend on the machine, so only imports, memory, and
what minilm adds to a step are given in units.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from minilm.bench.measure import Figure
from minilm.errors import MinilmError

__all__ = ["BENCHES", "Figure", "run"]


class Bench(NamedTuple):
    """One bench: the function that measures it, and the packages that it needs.

    Attributes:
        module: the file in this folder; it is imported only in the process that measures.
        function: its function; it takes `quick` and yields figures.
        needs: the packages that must be installed.
        backend: the backend to measure, where one function measures several.
    """

    module: str
    function: str
    needs: tuple[str, ...] = ()
    backend: str | None = None


BENCHES = {
    "imports": Bench("footprint", "measure_imports"),
    "streaming-torch": Bench("torch", "measure_streaming", ("torch",)),
    "streaming-tensorflow": Bench("tensorflow", "measure_streaming", ("tensorflow",)),
    "streaming-numpy": Bench("backends", "measure_numpy_streaming", ("torch",)),
    "streaming-hf": Bench("huggingface", "measure_streaming", ("torch", "transformers")),
    "training-torch": Bench("torch", "measure_training", ("torch",)),
    "training-distributed": Bench("torch", "measure_processes", ("torch",)),
    "training-tensorflow": Bench("tensorflow", "measure_training", ("tensorflow",)),
    "training-numpy": Bench("backends", "measure_numpy_training", ("torch",)),
    "watching-torch": Bench("backends", "measure_watching", ("torch",), "torch"),
    "watching-tensorflow": Bench("backends", "measure_watching", ("tensorflow",), "tensorflow"),
    "watching-numpy": Bench("backends", "measure_watching", (), "numpy"),
    "doctor-torch": Bench("torch", "measure_doctor", ("torch",)),
    "doctor-tensorflow": Bench("tensorflow", "measure_doctor", ("tensorflow",)),
    "constraints": Bench("constraints", "measure_constraint", ("llguidance",)),
    "decisions": Bench("decisions", "figures"),
    "states-hf": Bench("huggingface", "measure_states", ("torch", "transformers", "resource")),
    "memory": Bench("footprint", "measure_memory", ("resource",)),
    "tokenizer": Bench("tokenizer", "measure_tokenizer"),
}


def run(names: Sequence[str] = (), quick: bool = False) -> Iterator[Figure]:
    """Yield the figures of benches as they are measured.

    A bench whose packages are not installed is left out.

    Args:
        names: the benches to run; none means all.
        quick: fewer runs of fewer tokens, to see that all works; its figures vary a lot.

    Raises:
        MinilmError: for an unknown name.
    """
    if unknown := [name for name in names if name not in BENCHES]:
        raise MinilmError(f"Bench must be one of {', '.join(BENCHES)}, got {unknown[0]!r}")
    for name in names or BENCHES:
        if all(importlib.util.find_spec(package) for package in BENCHES[name].needs):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                yield from pool.submit(_measure, name, quick).result()


def _measure(name: str, quick: bool) -> list[Figure]:
    bench = BENCHES[name]
    # Without these TensorFlow prints its own messages on standard error.
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    function = getattr(importlib.import_module(f"minilm.bench.{bench.module}"), bench.function)
    return list(function(quick) if bench.backend is None else function(bench.backend, quick))
