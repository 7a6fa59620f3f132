"""The inside of a model, in NumPy: from the inner arrays of a reading, and the weights at both ends.

An LSTM shows its gates and its memory, a transformer its attention and a logit lens. Every model shows the
neighbours of an embedding, and the share of each hidden unit in a logit.
"""

from minilm.inside.gates import LayerGates, measure_gates
from minilm.inside.neighbours import Neighbour, find_neighbours
from minilm.inside.reading import find_layers, read_inner
from minilm.inside.splits import MemorySplit, UnitShares, split_over_tokens, split_over_units
from minilm.inside.transformer import HeadAttention, LayerLens, apply_lens, measure_attention

__all__ = [
    "HeadAttention",
    "LayerGates",
    "LayerLens",
    "MemorySplit",
    "Neighbour",
    "UnitShares",
    "apply_lens",
    "find_layers",
    "find_neighbours",
    "measure_attention",
    "measure_gates",
    "read_inner",
    "split_over_tokens",
    "split_over_units",
]
