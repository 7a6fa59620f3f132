"""A glass box for language models: train small ones, and watch every token being chosen.

Importing it loads no framework; torch, TensorFlow and transformers come when they are named.
"""

from minilm.backends import available, create, load, wrap
from minilm.errors import MinilmError
from minilm.generation import Cursor, TraceWriter, read_trace, start, stream
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
from minilm.sampling import (
    Bias,
    Greedy,
    MinP,
    RepetitionPenalty,
    Stage,
    Temperature,
    TopK,
    TopP,
    parse,
)

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
