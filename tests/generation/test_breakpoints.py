"""Breakpoints speak of the facts of a step."""

import pytest

from minilm.errors import MinilmError
from minilm.generation import stream
from minilm.generation.breakpoints import NAMES, breakpoint_holds, breakpoint_of


@pytest.fixture(scope="module")
def steps(model, codec):
    return list(stream(model, codec, "hello", "TopK(30)", 2, max_tokens=6, watch=[3]))


def test_every_name_reads_a_value_off_a_step_and_only_the_last_has_a_finish(steps):
    """A comparison with what is missing is false, even with itself."""

    def missing(step):
        return [name for name in NAMES if not breakpoint_holds(breakpoint_of(f"{name} == {name}"), [step])]

    assert [missing(step) for step in steps] == [["finish"]] * 5 + [[]]


def test_conditions_agree_with_the_records(steps):
    for n in range(1, 7):
        step = steps[n - 1]
        assert breakpoint_holds(breakpoint_of(f"index == {n}"), steps[:n])
        assert breakpoint_holds(breakpoint_of("survivors == 30"), steps[:n])
        assert breakpoint_holds(breakpoint_of("p_eos > 0 and p_eos < 1"), steps[:n])
        assert breakpoint_holds(breakpoint_of("entropy > 3 and rank > 5"), steps[:n]) == (
            step.decision.raw.entropy > 3 and step.decision.chosen.rank > 5
        )
        assert breakpoint_holds(breakpoint_of("margin < 1e-2"), steps[:n]) == (step.decision.margin < 1e-2)
        assert breakpoint_holds(breakpoint_of("final.entropy < raw.entropy"), steps[:n])


def test_several_ends_of_a_text_are_summed(model, codec):
    (step,) = stream(model, codec, "hello", max_tokens=1, watch=[3, 50], eos_ids=[3, 50])
    shares = {c.id: c.p_model for c in step.decision.candidates}
    both = shares[3] + shares[50]
    assert breakpoint_holds(
        breakpoint_of(f"p_eos > {0.99 * both} and p_eos < {1.01 * both}"), [step], [3, 50]
    )
    assert breakpoint_holds(breakpoint_of(f"p_eos < {1.01 * shares[3]}"), [step])


def test_repeats_looks_back(model, codec):
    steps = list(stream(model, codec, "a", "Bias({50: 99.0})", max_tokens=4))
    assert [breakpoint_holds(breakpoint_of("repeats(3)"), steps[:n]) for n in range(1, 5)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("text", ["repeats()", "repeats(1)", "repeats('a')", "repeats(2.5)", "entropie > 3"])
def test_what_makes_no_sense_is_refused(steps, text):
    with pytest.raises(MinilmError):
        breakpoint_holds(breakpoint_of(text), steps)
