"""A glass box for language models: train small ones, and watch every token being chosen.

Importing it loads nothing, not even NumPy: each public name is imported when it is first used, so the command
line and the pytest plugin start at once. torch, TensorFlow and transformers come when they are named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minilm.frozen import show_with

if TYPE_CHECKING:
    from minilm.backends import available, create, load
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
    from minilm.workflows.open import Opened
    from minilm.workflows.open import open_model as open  # noqa: F401 - public, though not in __all__
    from minilm.workflows.open import wrap_net as wrap
    from minilm.workflows.train import Training

# `open` is public too; it is left out so that `from minilm import *` leaves Python's own `open` alone.
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
    "Opened",
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
    "Training",
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
    "minilm.backends": ("available", "create", "load"),
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
    "minilm.workflows.open": ("Opened",),
    "minilm.workflows.train": ("Training",),
}  # fmt: skip
_HOME_OF = {name: (module, name) for module, names in _HOMES.items() for name in names}
_HOME_OF |= {"open": ("minilm.workflows.open", "open_model"), "wrap": ("minilm.workflows.open", "wrap_net")}

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
    module, home_name = _HOME_OF[name]
    value = getattr(import_module(module), home_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "open", "__version__"})
