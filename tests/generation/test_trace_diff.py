"""The first step and the first stage where two runs part; every planted difference is found where it is."""

from dataclasses import replace

import numpy as np
import pytest

from minilm.generation import Trace, read_trace
from minilm.generation.reopen import reopen
from minilm.generation.trace_diff import diff, first_difference
from minilm.records import frozen_array


def found(a, b, tolerance=1e-5):
    return [(d.index, d.place, d.what) for d in diff(a, b, tolerance)]


def changed(step, **parts):
    return replace(step, decision=replace(step.decision, **parts))


def effect(step, place, **parts):
    rows = list(step.decision.stages)
    rows[place] = replace(rows[place], **parts)
    return changed(step, stages=tuple(rows))


def test_equal_runs_have_no_difference(record):
    assert found(read_trace(record("a")), read_trace(record("b"))) == []


def test_another_seed_parts_at_the_draw(record):
    a, b = read_trace(record("a", seed=0)), read_trace(record("b", seed=1))
    assert found(a, b)[:2] == [(None, "the start", "seed"), (0, "the draw", "u")]


def test_another_number_in_a_stage_parts_at_that_stage_and_the_margin_is_said(record):
    a, b = read_trace(record("a")), read_trace(record("b", stages="Temperature(0.9) TopK(29) TopP(0.95)"))
    differences = list(diff(a, b))
    assert (differences[1].index, differences[1].place) == (0, "the stages")
    assert (
        differences[1]
        .sentence("A", "B")
        .startswith("Step 1 differs at the stages, next one: A TopK(30), B TopK(29)")
    )
    last = differences[-1]
    if last.chosen:
        margins = [m for m in last.margins if m is not None]
        assert f"{min(margins):.2g} from the end of its interval" in last.sentence()


def test_nothing_is_compared_after_the_texts_part(record):
    a, b = read_trace(record("a")), read_trace(record("b", seed=5, stages="Temperature(3.0)"))
    steps = [d for d in diff(a, b) if d.index is not None]
    assert [bool(d.chosen) for d in steps].index(True) == len(steps) - 1


PLANTED = [
    (lambda s: replace(s, id=s.id + 1), "what was read", "id"),
    (lambda s: replace(s, position=s.position + 1), "what was read", "position"),
    (
        lambda s: replace(s, embedding=replace(s.embedding, norm=s.embedding.norm * 1.01)),
        "the embedding",
        "norm",
    ),
    (lambda s: changed(s, raw=replace(s.decision.raw, entropy=9.0)), "the model", "entropy"),
    (lambda s: effect(s, 0, entropy=1.0), "Temperature(0.9)", "entropy"),
    (lambda s: effect(s, 1, survivors=29), "TopK(30)", "survivors"),
    (lambda s: effect(s, 2, mass_kept=0.5), "TopP(0.95)", "mass kept"),
    (lambda s: changed(s, stages=s.decision.stages[:2]), "the stages", "next one"),
    (lambda s: changed(s, stages=s.decision.stages[::-1]), "the stages", "next one"),
    (lambda s: changed(s, u=0.123), "the draw", "u"),
    (lambda s: changed(s, forced=True), "the choice", "forced"),
    (lambda s: changed(s, chosen=s.decision.candidates[-1]), "the choice", "id"),
    (lambda s: replace(s, new_text="other"), "the text", "new_text"),
    (lambda s: replace(s, offset=77), "the text", "offset"),
    (lambda s: replace(s, finish="eos"), "the text", "finish"),
]


@pytest.mark.parametrize(("plant", "place", "what"), PLANTED)
def test_a_planted_difference_is_found_at_its_step_and_place(record, plant, place, what):
    trace = read_trace(record())
    steps = list(trace.steps)
    steps[4] = plant(steps[4])
    first = next(diff(trace, replace(trace, steps=tuple(steps))))
    assert (first.index, first.place, first.what) == (4, place, what)
    assert first.sentence().startswith(f"Step 5 differs at {place}, {what}: the first run ")


def test_numbers_within_the_tolerance_are_equal(record):
    step = read_trace(record()).steps[0]
    near = effect(step, 0, entropy=step.decision.stages[0].entropy + 9e-6)
    assert first_difference(step, near) is None
    assert first_difference(step, near, 1e-7).by == pytest.approx(9e-6)


def test_a_run_that_stops_early_is_named(record):
    trace = read_trace(record())
    assert found(trace, replace(trace, steps=trace.steps[:5])) == [(5, "the end", "number of steps")]


@pytest.mark.parametrize("at", range(9))
def test_a_reopened_session_goes_on_with_the_same_tokens_and_numbers(record, model, codec, at):
    trace = read_trace(record(watch=[5], stop=["zzz"], seed=4))
    cursor = reopen(trace, model, codec, at)
    assert cursor.text == "".join(step.new_text for step in trace.steps[:at])
    assert found(replace(trace, start={}, steps=trace.steps[at:]), read_steps(cursor)) == []


def read_steps(cursor):

    return Trace({}, tuple(cursor.steps()), None)


def test_a_reopened_session_has_the_stages_of_the_step_or_those_it_is_given(record, model, codec):
    trace = read_trace(record())
    assert [repr(s) for s in reopen(trace, model, codec).settings.stages] == [
        "Temperature(0.9)",
        "TopK(30)",
        "TopP(0.95)",
    ]
    assert reopen(trace, model, codec, 3, stages="Greedy()").peek().decision.u is None


def test_another_backend_reopens_the_trace_to_1e_5(record, model, codec):
    torch = pytest.importorskip("torch")
    from minilm import backends

    with torch.no_grad():
        other = backends.create("torch", model.config)
    other.restore(dict(model.weights()))
    trace = read_trace(record(seed=2))
    again = replace(trace, start={}, steps=trace.steps[3:])
    assert found(again, read_steps(reopen(trace, other, codec, 3))) == []


def test_what_cannot_be_reopened_is_refused(record, model, codec):
    from minilm import backends
    from minilm.errors import MinilmError
    from minilm.records import ModelConfig

    trace = read_trace(record())
    for change, words in [
        ({"at": 9}, "0 to 8, got 9"),
        ({"at": -1}, "got -1"),
        ({"trace": replace(trace, start={})}, "first line"),
        ({"model": backends.create("numpy", ModelConfig(300, 4, 4))}, "260, the model has 300"),
    ]:
        with pytest.raises(MinilmError, match=words):
            reopen(**{"trace": trace, "model": model, "codec": codec, **change})


def test_an_embedding_of_another_shape_is_a_difference(record):
    step = read_trace(record()).steps[0]
    other = replace(step, embedding=replace(step.embedding, shape=(3,), vector=frozen_array(np.ones(3))))
    assert first_difference(step, other).what == "shape"
