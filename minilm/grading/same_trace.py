"""A student's trace held against a reference: one sentence that says where they part, and mostly why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from minilm.records import Step
from minilm.trace.audit.step import check_step
from minilm.trace.diff import TraceDifference, diff
from minilm.trace.reader import Trace, read_trace

__all__ = ["assert_same_trace"]

_ADAPTIVE = "adaptive k is the fewest best tokens that hold 0.95, from 8 to 64, and never more than are left"
_CUMULATIVE = "the draw falls on the cumulative sum in ascending order of ids"
_HINTS = {  # (place or kind of stage, fact or "") -> what it mostly comes from
    ("the start", ""): "give both runs the same prompt, stages and seed",
    ("what was read", "id"): "a step reads the last token so far: of the prompt, then the one just chosen",
    ("what was read", "position"): "positions count from 0 over prompt and text together",
    ("what was read", "index"): "steps count from 0 over generated tokens",
    ("the model", "k_used"): _ADAPTIVE,
    ("the model", "mass_used"): _ADAPTIVE,
    ("the final distribution", "k_used"): _ADAPTIVE,
    ("the final distribution", "mass_used"): _ADAPTIVE,
    ("the choice", "margin"): "the margin is the distance of the draw to the nearer end of its interval",
    ("the embedding", ""): "the embedding is that of the token read, its cosine to the one read before",
    ("the model", ""): "let the model read the whole prompt, and hand its state back at every step",
    ("Temperature", ""): "scores are divided by the temperature, before the softmax",
    ("TopK", ""): "keep the k best, and all that equal the k-th",
    ("TopP", ""): "keep the fewest best whose mass reaches p: the token that crosses p stays",
    ("MinP", ""): "the bound is m times the probability of the best token",
    (
        "RepetitionPenalty",
        "",
    ): "each id of prompt and text counts once: s / theta from 0 up, s x theta below 0",
    ("Greedy", ""): "the best token alone is left, of equals the lowest id",
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
    """Fail with a sentence where the student's run parts from the reference.

    Each is a trace file, a Trace or its steps; tolerance: of numbers, times max(1, the larger one). Raises
    AssertionError at the first difference, and MinilmError for a file that is no trace.
    """
    __tracebackhide__ = True
    own, right = _trace(student), _trace(reference)
    if not own.start or not right.start:
        own, right = replace(own, start={}), replace(right, start={})
    found = next(diff(own, right, tolerance), None)
    if found is not None:
        raise AssertionError(_explained(found, own, right))


def _trace(given: str | Path | Trace | Iterable[Step]) -> Trace:
    if isinstance(given, str | Path):
        return read_trace(given)
    return given if isinstance(given, Trace) else Trace({}, tuple(given), None)


def _explained(found: TraceDifference, own: Trace, right: Trace) -> str:
    parts = [found.sentence("yours", "the reference")]
    kind = found.place.partition("(")[0]
    hint = _HINTS.get((kind, found.what)) or _HINTS.get((kind, ""))
    steps = zip(own.steps, right.steps, strict=False)
    pair = next((pair for pair in steps if pair[1].index == found.index), None)
    if pair and found.place == "the stages":
        hint = _order(*pair)
    if hint:
        parts.append(hint)
    broken = next(check_step(pair[0]), None) if pair else None
    if broken:
        parts.append(f"by themselves, too, your numbers do not fit ({broken[0]}: {broken[1]})")
    return "; ".join(parts)


def _order(student: Step, reference: Step) -> str:
    """Whether other stages ran, or the same ones in another order."""
    a, b = ([effect.stage for effect in step.decision.stages] for step in (student, reference))
    same = sorted(a) == sorted(b)
    wanted = " ".join(b) or "none"
    return f"the same stages in another order; it matters: {wanted}" if same else f"the stages are {wanted}"
