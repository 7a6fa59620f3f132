"""Compare backends, models and students' files: the first number that differs, and why it does."""

from minilm.comparison.backends import (
    ParityStep,
    Verdict,
    compare_backends,
    judge_backends,
    train_side_by_side,
)
from minilm.comparison.defaults.diagnosis import Diagnosis, diagnose
from minilm.comparison.lockstep import (
    LockstepStep,
    LockstepVerdict,
    TextPair,
    compare_texts,
    judge_lockstep,
    run_lockstep,
)
from minilm.comparison.prepare import Comparison, prepare_comparison
from minilm.comparison.student.compare import StudentVerdict, compare_models, compare_student

__all__ = [
    "Comparison",
    "Diagnosis",
    "LockstepStep",
    "LockstepVerdict",
    "ParityStep",
    "StudentVerdict",
    "TextPair",
    "Verdict",
    "compare_backends",
    "compare_models",
    "compare_student",
    "compare_texts",
    "diagnose",
    "judge_backends",
    "judge_lockstep",
    "prepare_comparison",
    "run_lockstep",
    "train_side_by_side",
]
