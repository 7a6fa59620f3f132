"""Compare a student's trace with a reference: one sentence names the first difference and its usual cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from minilm.records import Step
from minilm.trace.audit.step import check_step
from minilm.trace.diff import TraceDifference, diff
from minilm.trace.reader import Trace, read_trace

__all__ = ["assert_same_trace"]

_ADAPTIVE = (
    "adaptive k is the fewest best tokens with a mass of 0.95, from 8 to 64, and never more than are left"
)
_CUMULATIVE = "the draw falls on the cumulative sum in ascending order of ids"
# (place or kind of stage, fact or "" for any fact) -> the usual cause of a difference there
_HINTS = {
    ("the start", ""): "give both runs the same prompt, stages and seed",
    (
        "what was read",
        "id",
    ): "a step reads the newest token: first the prompt's last one, then the one just chosen",
    ("what was read", "position"): "positions count from 0 over prompt and text together",
    ("what was read", "index"): "steps count from 0 over generated tokens",
    ("the model", "k_used"): _ADAPTIVE,
    ("the model", "mass_used"): _ADAPTIVE,
    ("the final distribution", "k_used"): _ADAPTIVE,
    ("the final distribution", "mass_used"): _ADAPTIVE,
    ("the choice", "margin"): "the margin is the distance of the draw to the nearer end of its interval",
    (
        "the embedding",
        "",
    ): "the embedding belongs to the token read; its cosine compares it with the one before",
    ("the model", ""): "let the model read the whole prompt, and hand its state back at every step",
    ("Temperature", ""): "scores are divided by the temperature, before the softmax",
    ("TopK", ""): "keep the k best, and all that equal the k-th",
    ("TopP", ""): "keep the fewest best whose mass reaches p: the token that crosses p stays",
    ("MinP", ""): "the bound is m times the probability of the best token",
    ("RepetitionPenalty", ""): (
        "each id of prompt and text counts once: a score s of 0 or more is divided by theta, a negative one "
        "is multiplied by it"
    ),
    ("Greedy", ""): "keep the best token alone, and of several equal ones the lowest id",
    ("the final distribution", ""): "after the last stage the probabilities must add up to 1 again",
    ("the draw", ""): "u is a function of seed, position and branch: minilm.dice.draw(seed, position)",
    ("the choice", "id"): _CUMULATIVE,
    ("the choice", "low"): _CUMULATIVE,
    ("the choice", "high"): _CUMULATIVE,
    ("the text", "new_text"): "push every id into codec.stream(); decoding one id alone breaks characters",
    ("the text", "offset"): "offsets count bytes of UTF-8, not characters",
    ("the text", "finish"): "a text ends on EOS, a stop string, the limit or a full context",
    ("the end", ""): "one run stopped before the other",
}


def assert_same_trace(
    student: str | Path | Trace | Iterable[Step],
    reference: str | Path | Trace | Iterable[Step],
    tolerance: float = 1e-5,
) -> None:
    """Fail, with one sentence, at the first step where the student's run differs from the reference.

    Args:
        student: A trace file, a Trace or its steps.
        reference: The same of the correct run.
        tolerance: How far two numbers may differ, times max(1, the larger one).

    Raises:
        AssertionError: The runs differ; the message says where, and the usual cause.
        MinilmError: A file is no trace.
    """
    __tracebackhide__ = True
    student_trace, right_trace = _open_trace(student), _open_trace(reference)
    # Steps alone do not say what was asked of the run, so then the steps alone are compared.
    if not student_trace.start or not right_trace.start:
        student_trace, right_trace = replace(student_trace, start={}), replace(right_trace, start={})
    difference = next(diff(student_trace, right_trace, tolerance), None)
    if difference is not None:
        raise AssertionError(_explain(difference, student_trace, right_trace))


def _open_trace(given: str | Path | Trace | Iterable[Step]) -> Trace:
    if isinstance(given, str | Path):
        return read_trace(given)
    return given if isinstance(given, Trace) else Trace({}, tuple(given), None)


def _explain(difference: TraceDifference, student: Trace, reference: Trace) -> str:
    """Return the difference as a sentence, its usual cause, and whether the step contradicts itself."""
    parts = [difference.sentence("yours", "the reference")]
    kind = difference.place.partition("(")[0]
    hint = _HINTS.get((kind, difference.what)) or _HINTS.get((kind, ""))
    steps = zip(student.steps, reference.steps, strict=False)
    pair = next((pair for pair in steps if pair[1].index == difference.index), None)
    if pair and difference.place == "the stages":
        hint = _compare_stages(*pair)
    if hint:
        parts.append(hint)
    violation = next(check_step(pair[0]), None) if pair else None
    if violation:
        parts.append(f"your numbers also contradict each other ({violation[0]}: {violation[1]})")
    return "; ".join(parts)


def _compare_stages(student: Step, reference: Step) -> str:
    """Return which stages the reference has, and whether the student has them in another order."""
    given, wanted = ([effect.stage for effect in step.decision.stages] for step in (student, reference))
    names = " ".join(wanted) or "none"
    if sorted(given) == sorted(wanted):
        return f"the same stages in another order; it matters: {names}"
    return f"the stages are {names}"
