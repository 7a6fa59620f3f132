"""What goes on inside a model, in NumPy, from what a Reading carries and the weights at its two ends.

LSTM: gates and memory; transformers: attention and logit lens; all: embeddings' neighbours and units' shares.
"""

from minilm.inside.gates import LayerGates, gates
from minilm.inside.looking import layer_names, look
from minilm.inside.memory import MemorySplit, memory
from minilm.inside.neighbours import Neighbour, neighbours
from minilm.inside.transformer import HeadLook, LayerLens, attention, lens
from minilm.inside.units import UnitShares, units

__all__ = [
    "HeadLook",
    "LayerGates",
    "LayerLens",
    "MemorySplit",
    "Neighbour",
    "UnitShares",
    "attention",
    "gates",
    "layer_names",
    "lens",
    "look",
    "memory",
    "neighbours",
    "units",
]
