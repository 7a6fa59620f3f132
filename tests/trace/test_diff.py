"""The first step and stage where two runs differ; every planted difference is found at its place."""

from dataclasses import replace

import numpy as np
import pytest

from minilm.generation import start
from minilm.records import Removal, frozen_array
from minilm.sampling import spell
from minilm.trace import Trace, TraceWriter, read_trace
from minilm.trace.diff import diff, first_difference
from minilm.trace.resume import reopen


def found(a, b, tolerance=1e-5):
    return [(d.index, d.place, d.what) for d in diff(a, b, tolerance)]


def changed(step, **parts):
    return replace(step, decision=replace(step.decision, **parts))


def effect(step, place, **parts):
    rows = list(step.decision.stages)
    rows[place] = replace(rows[place], **parts)
    return changed(step, stages=tuple(rows))


def candidate(step, **parts):
    """The step with another second candidate."""
    rows = list(step.decision.candidates)
    rows[1] = replace(rows[1], **parts)
    return changed(step, candidates=tuple(rows))


def embedded(step, place, by):
    vector = np.array(step.embedding.vector)
    vector[place] += by
    return replace(step, embedding=replace(step.embedding, vector=frozen_array(vector)))


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
    (lambda s: replace(s, text="other"), "what was read", "text"),
    (lambda s: embedded(s, 3, 1e-3), "the embedding", "vector[3]"),
    (lambda s: changed(s, raw=replace(s.decision.raw, k_used=63)), "the model", "k_used"),
    (lambda s: changed(s, raw=replace(s.decision.raw, mass_used=0.5)), "the model", "mass_used"),
    (lambda s: candidate(s, p_model=0.5), "the model", "p_model of"),
    (lambda s: candidate(s, logp_model=-9.0), "the model", "logp_model of"),
    (lambda s: candidate(s, logit=-np.inf), "the model", "logit of"),
    (lambda s: candidate(s, p_tempered=0.5), "Temperature(0.9)", "p_tempered of"),
    (lambda s: candidate(s, removed_by=Removal("TopK(30)", "")), "the final distribution", "what removed"),
    (lambda s: candidate(s, bytes=b"other"), "the text", "bytes of"),
    (lambda s: candidate(s, text="other"), "the text", "text of"),
    (lambda s: effect(s, 1, chosen=0.5), "TopK(30)", "change of the chosen token"),
    (lambda s: changed(s, survivors=3), "the final distribution", "survivors"),
    (lambda s: changed(s, final=replace(s.decision.final, entropy=1.0)), "the final distribution", "entropy"),
    (lambda s: changed(s, final=replace(s.decision.final, k_used=9)), "the final distribution", "k_used"),
    (lambda s: changed(s, final=replace(s.decision.final, mass_used=1.0)), "the final distribution", "mass"),
    (lambda s: changed(s, raw=replace(s.decision.raw, entropy=np.nan)), "the model", "entropy"),
    (lambda s: replace(s, branch=1), "the draw", "branch"),
    (lambda s: changed(s, interval=(0.0, s.decision.interval[1])), "the choice", "low"),
    (lambda s: changed(s, interval=(s.decision.interval[0], 1.0)), "the choice", "high"),
    (lambda s: changed(s, interval=None), "the choice", "low"),
    (lambda s: changed(s, margin=0.5), "the choice", "margin"),
    (lambda s: changed(s, chosen=replace(s.decision.chosen, p_final=0.5)), "the choice", "p_final"),
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
    assert (first.index, first.place) == (4, place)
    assert first.what.startswith(what)
    assert first.sentence().startswith(f"Step 5 differs at {place}, {first.what}: the first run ")


def test_numbers_within_the_tolerance_are_equal(record):
    step = read_trace(record()).steps[0]
    near = effect(step, 0, entropy=step.decision.stages[0].entropy + 9e-6)
    assert first_difference(step, near) is None
    assert first_difference(step, near, 1e-7).by == pytest.approx(9e-6)


def test_a_number_of_numpy_or_a_whole_one_is_a_number_like_others(record):
    """A student's float32 and another language's 1 for 1.0 are compared within the tolerance."""
    step = read_trace(record()).steps[0]
    raw = step.decision.raw
    assert first_difference(changed(step, raw=replace(raw, entropy=np.float32(raw.entropy))), step) is None
    whole = [effect(step, 0, mass_kept=1.0 - 1e-7), effect(step, 0, mass_kept=1)]
    assert first_difference(*whole) is None
    far = first_difference(effect(step, 0, mass_kept=np.float32(0.5)), step)
    assert (far.what, far.by) == ("mass kept", pytest.approx(0.5))


def test_a_step_has_the_number_of_the_right_run(record):
    """One that counts from 1 differs at step 1, and a run reopened at step 6 ends after step 7."""
    trace = read_trace(record())
    from_one = replace(trace, steps=tuple(replace(s, index=s.index + 1) for s in trace.steps))
    assert next(diff(from_one, trace)).sentence().startswith("Step 1 differs at what was read, index: the")
    late = replace(trace, steps=trace.steps[5:])
    assert found(late, replace(late, steps=late.steps[:2])) == [(7, "the end", "number of steps")]


def test_a_sentence_stays_on_its_line(record):
    step = read_trace(record()).steps[0]
    mine = effect(step, 0, stage="Mine\n\x1b[2J")
    pairs = [
        (replace(step, new_text="a\n\x1b[31m"), step),
        (mine, step),
        (effect(mine, 0, survivors=1), mine),
    ]
    for pair in pairs:
        assert first_difference(*pair).sentence().isprintable()


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


@pytest.mark.parametrize("at", range(5))
def test_a_session_reopened_in_the_middle_has_the_stages_of_that_place(model, codec, tmp_path, at):
    cursor, path = start(model, codec, "hé", "TopK(30)", max_tokens=4), tmp_path / "run.jsonl"
    with path.open("w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:
        for place in range(4):
            cursor = cursor.with_settings(stages="Temperature(0.5)") if place == 2 else cursor
            trace.step(cursor.peek())
            cursor = cursor.advance()
    reopened = reopen(read_trace(path), model, codec, at)
    assert spell(reopened.settings.stages) == ("TopK(30)" if at < 2 else "Temperature(0.5)")


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
