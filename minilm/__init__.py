"""A glass box for language models: train small ones, and watch every token being chosen.

Importing it loads nothing, not even NumPy: each public name is imported when it is first used, so the command
line and the pytest plugin start at once. torch, TensorFlow and transformers come when they are named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minilm.frozen import show_with

if TYPE_CHECKING:
    from minilm.backends import available, create, load, wrap
    from minilm.errors import MinilmError
    from minilm.generation.cursor import Cursor, start, stream
    from minilm.records import (
        Candidate,
        Decision,
        Gradients,
        ModelConfig,
        OptimizerConfig,
        Reading,
        StageEffect,
        Step,
        TrainStep,
    )
    from minilm.sampling.parsing import parse
    from minilm.sampling.stage import Stage
    from minilm.sampling.stages.common import Greedy, MinP, Temperature, TopK, TopP
    from minilm.sampling.stages.repetition import RepetitionPenalty
    from minilm.sampling.stages.words import Bias
    from minilm.trace.reader import read_trace
    from minilm.trace.writer import TraceWriter

__all__ = [
    "Bias",
    "Candidate",
    "Cursor",
    "Decision",
    "Gradients",
    "Greedy",
    "MinP",
    "MinilmError",
    "ModelConfig",
    "OptimizerConfig",
    "Reading",
    "RepetitionPenalty",
    "Stage",
    "StageEffect",
    "Step",
    "Temperature",
    "TopK",
    "TopP",
    "TraceWriter",
    "TrainStep",
    "available",
    "create",
    "load",
    "parse",
    "read_trace",
    "start",
    "stream",
    "wrap",
]

_HOMES = {
    "minilm.backends": ("available", "create", "load", "wrap"),
    "minilm.errors": ("MinilmError",),
    "minilm.generation.cursor": ("Cursor", "start", "stream"),
    "minilm.records": (
        "Candidate", "Decision", "Gradients", "ModelConfig", "OptimizerConfig", "Reading", "StageEffect",
        "Step", "TrainStep",
    ),
    "minilm.sampling.parsing": ("parse",),
    "minilm.sampling.stage": ("Stage",),
    "minilm.sampling.stages.common": ("Greedy", "MinP", "Temperature", "TopK", "TopP"),
    "minilm.sampling.stages.repetition": ("RepetitionPenalty",),
    "minilm.sampling.stages.words": ("Bias",),
    "minilm.trace.reader": ("read_trace",),
    "minilm.trace.writer": ("TraceWriter",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

# A record is shown by the faces, which import records; so they are handed over here, to be loaded when asked.
show_with(lambda: import_module("minilm.faces"))


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("minilm")
        except PackageNotFoundError:  # a checkout that is on the path but not installed
            return "unknown"
    if name not in _HOME_OF:
        raise AttributeError(f"module 'minilm' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
