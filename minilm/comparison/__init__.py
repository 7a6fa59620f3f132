"""Compare backends, models and students' files: the first number that differs, and why it does."""

from minilm.comparison.backends import (
    ParityStep,
    Verdict,
    compare_backends,
    judge_backends,
    train_side_by_side,
)
from minilm.comparison.defaults.diagnosis import Diagnosis, diagnose
from minilm.comparison.lockstep import TwinStep, TwinText, TwinVerdict, twin_run, twin_texts, twin_verdict
from minilm.comparison.student.compare import StudentVerdict, compare_models, compare_student

__all__ = [
    "Diagnosis",
    "ParityStep",
    "StudentVerdict",
    "TwinStep",
    "TwinText",
    "TwinVerdict",
    "Verdict",
    "compare_backends",
    "compare_models",
    "compare_student",
    "diagnose",
    "judge_backends",
    "train_side_by_side",
    "twin_run",
    "twin_texts",
    "twin_verdict",
]
