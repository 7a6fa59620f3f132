"""From logits to one token, in stages that can be watched.

Read it in this order: scores.py (what stages hand on), stages/common.py (the stages), ledger.py (run,
measure, draw), decide.py (one decision with all its numbers), sensitivity.py (how near another token was).
"""

from minilm.sampling.decide import decide
from minilm.sampling.parsing import parse, spell
from minilm.sampling.scores import Context, Scores
from minilm.sampling.stage import Stage
from minilm.sampling.stages.common import Greedy, MinP, Temperature, TopK, TopP
from minilm.sampling.stages.repetition import RepetitionPenalty
from minilm.sampling.stages.words import Bias

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
