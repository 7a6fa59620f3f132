"""A student's trace against the reference: one sentence, at the first fault, and mostly its cause."""

from dataclasses import replace

import numpy as np
import pytest

from minilm import backends
from minilm.generation import start
from minilm.grading.same_trace import assert_same_trace
from minilm.numerics import log_softmax
from minilm.records import ModelConfig
from minilm.sampling import decide, parse
from minilm.sampling.stages.common import MinP, Temperature, TopP
from minilm.trace import TraceWriter

pytest_plugins = ["pytester"]


class Digits:
    """Ids 0 to 9 are the digits."""

    special_ids = {}  # noqa: RUF012
    vocab_size = 10

    def encode(self, text, special=False):
        return [int(c) for c in text]

    def piece_bytes(self, token_id):
        return str(token_id).encode()

    def decode(self, ids):
        return "".join(map(str, ids))

    def piece(self, token_id):
        return str(token_id)

    def stream(self):
        return self

    def copy(self):
        return self

    def push(self, token_id):
        return str(token_id)

    def flush(self):
        return ""


MODEL = backends.create("numpy", ModelConfig(10, 6, 6, seed=5))
STAGES = "RepetitionPenalty(1.3) Temperature(0.8) TopP(0.7) MinP(0.2)"


def cursor(prompt="314", stages=STAGES, seed=2):
    return start(MODEL, Digits(), prompt, stages, seed, max_tokens=6)


REFERENCE = list(cursor().steps())


class Multiplied(Temperature):
    """The mistake of multiplying by the temperature."""

    def __call__(self, scores, context):
        return type(scores)(scores.ids, scores.values * np.float32(self.t))


class WithoutCrossing(TopP):
    """The mistake of leaving the crossing token out."""

    def __call__(self, scores, context):
        order = np.argsort(-scores.values, kind="stable")
        mass = np.cumsum(np.exp(log_softmax(scores.values[order])))
        keep = np.zeros(order.size, dtype=bool)
        keep[order[mass <= self.p]] = True
        keep[order[0]] = True
        return scores.keep(keep)


class Absolute(MinP):
    """The mistake of holding probabilities against m itself."""

    def __call__(self, scores, context):
        p = np.exp(log_softmax(scores.values))
        return scores.keep((p >= 1.2 * self.m) | (p == p.max()))


def with_mistake(kind, number):
    """The reference run with one stage mistaken; it is spelled like the right one."""
    stages = list(parse(STAGES))
    wrong = kind(getattr(stages[number], "t", None) or getattr(stages[number], "p", None) or 0.2)
    object.__setattr__(wrong, "label", repr(stages[number]))
    stages[number] = wrong
    return list(cursor(stages=stages).steps())


def wrong_draw():
    here = cursor()
    decision = decide(here.reading.logits[-1], here.context, here.settings.stages, 0.111, here.texts)
    return [replace(REFERENCE[0], decision=decision)]


def unnormalised():
    first = REFERENCE[0].decision
    halved = [replace(c, p_final=c.p_final / 2) for c in first.candidates]
    chosen = next(c for c in halved if c.id == first.chosen.id)
    return [replace(REFERENCE[0], decision=replace(first, candidates=tuple(halved), chosen=chosen))]


CASES = {
    "only the last prompt token is read": (
        lambda: [replace(s, position=s.position + 2, index=s.index) for s in cursor("4").steps()],
        r"Step 1 differs at (the embedding|the model).*(whole prompt|token read)",
    ),
    "scores are multiplied by the temperature": (
        lambda: with_mistake(Multiplied, 1),
        r"Step 1 differs at Temperature\(0.8\), .*divided by the temperature",
    ),
    "the crossing token is left out": (
        lambda: with_mistake(WithoutCrossing, 2),
        r"Step \d differs at TopP\(0.7\), survivors: yours \d, .* the token that crosses p stays",
    ),
    "min-p is taken absolutely": (
        lambda: with_mistake(Absolute, 3),
        r"Step \d differs at MinP\(0.2\), survivors: yours \d, .* m times the probability of the best",
    ),
    "the stages stand in another order": (
        lambda: list(cursor(stages="Temperature(0.8) RepetitionPenalty(1.3) TopP(0.7) MinP(0.2)").steps()),
        r"the same stages in another order; it matters: RepetitionPenalty\(1.3\) Temperature",
    ),
    "a stage is missing": (
        lambda: list(cursor(stages="RepetitionPenalty(1.3) Temperature(0.8) TopP(0.7)").steps()),
        r"yours none, the reference MinP\(0.2\); the stages are RepetitionPenalty",
    ),
    "other dice are thrown": (wrong_draw, r"Step 1 differs at the draw, u: yours 0.111.*minilm.dice.draw"),
    "the seed is another": (lambda: list(cursor(seed=3).steps()), "Step 1 differs at the draw, u"),
    "nothing is normalised at the end": (
        unnormalised,
        r"the final distribution, p of .*must add up to 1 again; your numbers also contradict each other",
    ),
    "offsets count from 1": (
        lambda: [replace(s, offset=s.offset + 1) for s in REFERENCE],
        "offset: yours 1, the reference 0; offsets count bytes",
    ),
    "positions count from 1": (
        lambda: [replace(s, position=s.position + 1) for s in REFERENCE],
        "position: yours 3, the reference 2.*positions count from 0",
    ),
    "adaptive k is not held to what is left": (
        lambda: [
            replace(s, decision=replace(s.decision, final=replace(s.decision.final, k_used=8)))
            for s in REFERENCE
        ],
        "k_used: yours 8, the reference 7; adaptive k is the fewest best .* than are left; "
        "your numbers also contradict each other",
    ),
    "the run stops early": (lambda: REFERENCE[:4], "number of steps: yours 4, the reference 6"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_explained_in_one_sentence(case):
    student, words = CASES[case]
    with pytest.raises(AssertionError, match=words) as failure:
        assert_same_trace(student(), REFERENCE)
    assert "\n" not in str(failure.value)


def test_runs_that_begin_late_are_explained_at_the_step_that_differs():
    """A trace of a reopened session begins at step 5, and has two steps."""
    student = [replace(s, decision=replace(s.decision, stages=s.decision.stages[:3])) for s in REFERENCE[4:]]
    with pytest.raises(AssertionError, match=r"Step 5 differs at .*the stages are RepetitionPenalty"):
        assert_same_trace(student, REFERENCE[4:])


def test_what_is_no_number_does_not_pass():
    first = REFERENCE[0]
    student = replace(first, decision=replace(first.decision, margin=float("nan")))
    with pytest.raises(
        AssertionError, match=r"margin: yours nan.*the distance of the draw to the nearer end"
    ):
        assert_same_trace([student], [first])


def test_equal_traces_pass_and_rounding_passes():
    assert_same_trace(REFERENCE, REFERENCE)
    near = [
        replace(
            s,
            decision=replace(s.decision, raw=replace(s.decision.raw, entropy=s.decision.raw.entropy + 1e-7)),
        )
        for s in REFERENCE
    ]
    assert_same_trace(near, REFERENCE)
    with pytest.raises(AssertionError):
        assert_same_trace(near, REFERENCE, tolerance=1e-8)


def written(path, here):
    with path.open("w", encoding="utf-8") as file, TraceWriter(file, here) as trace:
        for step in here.steps():
            trace.step(step)
    return path


def test_files_are_compared_with_what_was_asked(tmp_path):
    right = written(tmp_path / "right.jsonl", cursor())
    assert_same_trace(right, right)
    assert_same_trace(right, REFERENCE)
    with pytest.raises(
        AssertionError, match=r"What was asked differs at the start, seed: yours 3.* same prompt"
    ):
        assert_same_trace(str(written(tmp_path / "other.jsonl", cursor(seed=3))), right)


def test_a_failing_test_shows_the_sentence_and_not_the_helper(pytester, tmp_path):
    right, other = written(tmp_path / "a", cursor()), written(tmp_path / "b", cursor(prompt="31"))
    pytester.makepyfile(
        "from minilm.grading.same_trace import assert_same_trace\n"
        f"def test_it():\n    assert_same_trace({str(other)!r}, {str(right)!r})\n"
    )
    output = pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider").stdout.str()
    assert "What was asked differs at the start, prompt_ids: yours [3, 1], the reference [3, 1, 4]" in output
    assert "same_trace.py" not in output
