"""From logits to one token, in stages that can be watched."""

from minilm.sampling.decide import decide
from minilm.sampling.parsing import parse, spell
from minilm.sampling.scores import Context, Scores
from minilm.sampling.stage import Stage
from minilm.sampling.stages import Bias, Greedy, MinP, RepetitionPenalty, Temperature, TopK, TopP

__all__ = [
    "Bias",
    "Context",
    "Greedy",
    "MinP",
    "RepetitionPenalty",
    "Scores",
    "Stage",
    "Temperature",
    "TopK",
    "TopP",
    "decide",
    "parse",
    "spell",
]
