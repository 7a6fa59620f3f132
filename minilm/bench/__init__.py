"""Speed of every backend here, each figure a ratio to what anyone would write without minilm.

The plain loops stand in one file per framework; each bench runs in a process of its own, so that one
framework's threads do not slow another down. Absolute times say more of the machine: only imports have them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from minilm.bench.measure import Figure
from minilm.errors import MinilmError

__all__ = ["BENCHES", "Figure", "run"]

BENCHES = {  # name -> (module, function, what must be importable)
    "imports": ("minilm.bench.imports", "figures", ()),
    "streaming-torch": ("minilm.bench.torch_loops", "streaming", ("torch",)),
    "streaming-tensorflow": ("minilm.bench.tensorflow_loops", "streaming", ("tensorflow",)),
    "streaming-numpy": ("minilm.bench.numpy_ratios", "streaming", ("torch",)),
    "streaming-hf": ("minilm.bench.huggingface_loops", "streaming", ("torch", "transformers")),
    "training-torch": ("minilm.bench.torch_training", "training", ("torch",)),
    "training-distributed": ("minilm.bench.torch_distributed_training", "training", ("torch",)),
    "training-tensorflow": ("minilm.bench.tensorflow_training", "training", ("tensorflow",)),
    "training-numpy": ("minilm.bench.numpy_ratios", "training", ("torch",)),
    "watching-torch": ("minilm.bench.watching", "torch_figures", ("torch",)),
    "watching-tensorflow": ("minilm.bench.watching", "tensorflow_figures", ("tensorflow",)),
    "watching-numpy": ("minilm.bench.watching", "numpy_figures", ()),
    "doctor-torch": ("minilm.bench.torch_doctor", "figures", ("torch",)),
    "doctor-tensorflow": ("minilm.bench.tensorflow_doctor", "figures", ("tensorflow",)),
    "constraints": ("minilm.bench.constraint_steps", "figures", ("llguidance",)),
    "decisions": ("minilm.bench.decisions", "figures", ()),
    "states-hf": ("minilm.bench.huggingface_states", "figures", ("torch", "transformers", "resource")),
    "memory": ("minilm.bench.memory", "figures", ("resource",)),
    "tokenizer": ("minilm.bench.tokenizer_training", "figures", ()),
}


def run(names: Sequence[str] = (), quick: bool = False) -> Iterator[Figure]:
    """Yield the figures of the named benches (all of them unless named), as they are measured.

    quick: fewer runs of fewer tokens, to see that all works; its figures scatter. Benches whose
    framework is not installed are left out. Raises MinilmError for an unknown name.
    """
    if unknown := [name for name in names if name not in BENCHES]:
        raise MinilmError(f"Bench must be one of {', '.join(BENCHES)}, got {unknown[0]!r}")
    for name in names or BENCHES:
        if all(importlib.util.find_spec(package) for package in BENCHES[name][2]):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                yield from pool.submit(_measured, name, quick).result()


def _measured(name: str, quick: bool) -> list[Figure]:
    module, function, _ = BENCHES[name]
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # or TensorFlow chats on stderr
    return list(getattr(importlib.import_module(module), function)(quick))
