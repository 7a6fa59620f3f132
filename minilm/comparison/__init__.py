"""Two backends held side by side: where, and at which step, they first part."""

from minilm.comparison.causes import Diagnosis, diagnose
from minilm.comparison.lockstep import TwinStep, TwinVerdict, twin_run, twin_verdict
from minilm.comparison.parity import Difference, ParityStep, parity, side_by_side
from minilm.comparison.student import StudentVerdict, compare_student
from minilm.comparison.twins import TwinText, twin_texts
from minilm.comparison.two_models import compare_models
from minilm.comparison.verdict import Verdict, verdicts

__all__ = [
    "Diagnosis",
    "Difference",
    "ParityStep",
    "StudentVerdict",
    "TwinStep",
    "TwinText",
    "TwinVerdict",
    "Verdict",
    "compare_models",
    "compare_student",
    "diagnose",
    "parity",
    "side_by_side",
    "twin_run",
    "twin_texts",
    "twin_verdict",
    "verdicts",
]
