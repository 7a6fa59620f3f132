"""Two backends held side by side: where, and at which step, they first part."""

from minilm.comparison.lockstep import TwinStep, TwinVerdict, twin_run, twin_verdict
from minilm.comparison.parity import Difference, ParityStep, parity, side_by_side
from minilm.comparison.twins import TwinText, twin_texts
from minilm.comparison.verdict import Verdict, verdicts

__all__ = [
    "Difference",
    "ParityStep",
    "TwinStep",
    "TwinText",
    "TwinVerdict",
    "Verdict",
    "parity",
    "side_by_side",
    "twin_run",
    "twin_texts",
    "twin_verdict",
    "verdicts",
]
