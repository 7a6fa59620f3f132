"""Two backends held side by side: where, and at which step, they first part."""

from minilm.comparison.backends import Difference, ParityStep, Verdict, parity, side_by_side, verdicts
from minilm.comparison.defaults.diagnosis import Diagnosis, diagnose
from minilm.comparison.lockstep import TwinStep, TwinText, TwinVerdict, twin_run, twin_texts, twin_verdict
from minilm.comparison.student.compare import StudentVerdict, compare_models, compare_student

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
