"""The same dice and other stages: a run is decided again from its logits alone, as the model would do it."""

from dataclasses import replace

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.generation import start
from minilm.sampling import decide
from minilm.sampling.ledger import choose_token
from minilm.sampling.parameters import set_number
from minilm.trace import read_trace
from minilm.trace.logits import logits_path
from minilm.trace.replay import open_recording
from minilm.trace.sweep import draw_map, sweep

OTHER = [
    "Greedy()",
    "TopK(5)",
    "Temperature(2.0) TopP(0.5)",
    "RepetitionPenalty(1.5) MinP(0.1)",
    "Presence(0.4)",
]


@pytest.mark.parametrize(
    "stages", ["Temperature(0.9) TopK(30)", "Greedy()", "", "Frequency(0.7) MinNewTokens(3)"]
)
def test_a_replay_with_its_own_stages_gives_the_recorded_decisions_bit_for_bit(record, stages):
    recording = open_recording(record(stages=stages, watch=[5, 40], seed=3))
    replayed = list(recording.replay())
    assert len(replayed) == 8
    for one in replayed:
        assert one.decision == one.step.decision
        assert not one.parts


@pytest.mark.parametrize("stages", OTHER)
def test_a_replay_is_what_the_model_does_up_to_where_the_text_parts(record, model, codec, stages):
    """Oracle: a fresh run of the model with those stages and the same seed."""
    recording = open_recording(record(seed=6, eos_ids=[]))
    fresh = start(model, codec, "hé", stages, 6, max_tokens=8, eos_ids=[]).steps()
    for new, old in zip(fresh, recording.replay(stages), strict=True):
        assert old.decision == new.decision
        if old.parts:
            break


def test_a_greedy_run_is_replayed_with_the_dice_of_its_seed(record, model, codec):
    recording = open_recording(record(stages="Greedy()", seed=6, eos_ids=[]))
    fresh = start(model, codec, "hé", "Temperature(0.1)", 6, max_tokens=8, eos_ids=[]).steps()
    same = 0
    for new, old in zip(fresh, recording.replay("Temperature(0.1)"), strict=True):
        assert old.decision == new.decision
        same += 1
        if old.parts:
            break
    assert same >= 1


def test_a_token_taken_by_hand_is_taken_again(record, model, codec, tmp_path):
    from minilm.trace import TraceWriter

    cursor = start(model, codec, "a", "TopK(3)", max_tokens=2)
    path = tmp_path / "hand.jsonl"
    with (
        path.open("w") as file,
        logits_path(path).open("wb") as rows,
        TraceWriter(file, cursor, rows) as trace,
    ):
        trace.step(cursor.peek(force=77), cursor.reading.logits[-1])
        after = cursor.advance(77)
        trace.step(after.peek(), after.reading.logits[-1])
    one, two = open_recording(path).replay("Temperature(0.5)")
    assert one.decision.chosen.id == 77
    assert one.decision.forced
    assert not one.parts
    assert two.step.id == 77


def test_tokens_are_named_from_the_trace(record, model, codec):
    recording = open_recording(record())
    cursor = start(model, codec, "hé")
    for token_id in range(260):
        assert recording.texts(token_id) == cursor.texts(token_id)
    assert recording.texts(999) == ("<999>", b"")


def test_stages_that_speak_of_words_are_refused_and_those_of_ids_run(record):
    recording = open_recording(record())
    with pytest.raises(MinilmError, match="'cat' is no word of its stages; write ids"):
        next(recording.replay("Bias({'cat': 2.0})"))
    assert next(recording.replay("Bias({40: 90.0})")).decision.chosen.id == 40


@pytest.mark.parametrize(
    "stages", ["Bias({'é': 3.0, 'ab': -inf}) TopP(0.9)", "SequenceBias({'éa': 5.0}) BadWords(['b', ' e'])"]
)
def test_words_of_the_recorded_stages_are_known_in_the_replay(record, stages):
    recording = open_recording(record(stages=stages, seed=2))
    assert [one.decision for one in recording.replay()] == [s.decision for s in recording.trace.steps]
    for word in ("é", "ab") if "'é'" in stages else ():
        assert next(recording.replay(f"Bias({{{word!r}: 2.0}})")).decision.stages


def test_a_trace_whose_vocabulary_has_no_words_is_replayed_as_before(record):
    path = record()
    path.write_text(path.read_text("utf-8").replace(', "words": {}', ""), "utf-8")
    recording = open_recording(path)
    assert "words" not in recording.trace.vocabulary
    assert [one.decision for one in recording.replay()] == [s.decision for s in recording.trace.steps]


def test_the_logits_of_another_run_are_refused(record):
    path, other = record("a", seed=1), record("b", seed=1, prompt="hé!")
    logits_path(path).write_bytes(logits_path(other).read_bytes())
    with pytest.raises(MinilmError, match=r"a\.logits\.npy are those of another run: at step 1 they are not"):
        open_recording(path)


def test_a_constraint_needs_a_tokenizer_and_its_replay_is_refused_before_the_first_step(record):
    """Whether or not the run comes to a text that must follow, for which llguidance asks the tokenizer."""
    pytest.importorskip("llguidance")
    for stages in ("Regex('[a-z]+')", "Regex('[a-z]é[a-z]+')", "Choice(['ab', 'ac'])"):
        with pytest.raises(MinilmError, match="carries no tokenizer"):
            next(open_recording(record(stages=stages)).replay())


def test_a_trace_without_logits_or_of_another_model_is_refused(record, tmp_path):
    path = record("a")
    logits_path(path).unlink()
    with pytest.raises(MinilmError, match="--logits"):
        open_recording(path)
    other = record("b", max_tokens=4)
    path.write_bytes(record("c").read_bytes())
    logits_path(path).write_bytes(logits_path(other).read_bytes())
    with pytest.raises(MinilmError, match="another trace"):
        open_recording(path)


def test_a_trace_that_leaves_its_line_is_refused(record):
    path = record()
    rows = path.read_text("utf-8").splitlines(keepends=True)
    for wrong, words in [
        ([*rows[:3], *rows[4:]], "has a step out of order, step 2"),
        (rows[1:], "no first line"),
        ([rows[0].replace('"prompt_ids": [2', '"prompt_ids": [-2'), *rows[1:]], "names id -2"),
    ]:
        path.write_text("".join(wrong), encoding="utf-8")
        with pytest.raises(MinilmError, match=words):
            open_recording(path)


def test_a_crash_leaves_a_recording_of_the_steps_before_it(record):
    path = record()
    whole = path.read_bytes()
    steps = read_trace(path).steps
    path.write_bytes(whole[: whole.rindex(b'"index": 5') + 40])
    recording = open_recording(path)
    assert recording.trace.steps == steps[:5]
    assert [one.parts for one in recording.replay()] == [False] * 5


def test_a_sweep_says_what_a_replay_with_each_value_says(record):
    recording = open_recording(record(stages="Temperature(0.9) TopK(30)"))
    for row in sweep(recording, "Temperature", [0.2, 0.9, 1.7]):
        replayed = list(recording.replay(f"Temperature({row.value}) TopK(30)"))
        parted = [one.step.index for one in replayed if one.parts]
        assert (row.same, row.of) == (8 - len(parted), 8)
        assert row.parts_at == (parted[0] if parted else None)
        if parted:
            assert row.instead == replayed[parted[0]].decision.chosen
        assert row.entropy == pytest.approx(np.mean([one.decision.final.entropy for one in replayed]))
    (own,) = sweep(recording, "Temperature", [0.9])
    assert (own.parts_at, own.instead) == (None, None)


def test_a_sweep_refuses_values_and_names_that_make_no_sense(record):
    recording = open_recording(record())
    for name, values in (("Temperature", [-1.0]), ("TopP", [1.5]), ("Greedy", [1.0]), ("TopK", [2.5])):
        with pytest.raises(MinilmError):
            list(sweep(recording, name, values))
    empty = replace(recording, trace=replace(recording.trace, steps=()))
    with pytest.raises(MinilmError, match="no steps"):
        list(sweep(empty, "Temperature", [1.0]))


def test_the_draw_map_is_what_each_draw_takes(record):
    recording = open_recording(record())
    drawn = draw_map(recording, 3, "Temperature", [0.5, 0.9, 2.0], draws=50)
    logits, context, u = recording.inputs(3, recording.stages(3))
    for row, draw in enumerate(drawn.draws):
        for column, value in enumerate(drawn.values):
            stages = set_number(recording.stages(3), "Temperature", float(value))
            decision = decide(logits, context, stages, float(draw), recording.texts)
            assert drawn.ids[row, column] == decision.chosen.id
    assert (drawn.u, drawn.value) == (u, 0.9)
    with pytest.raises(MinilmError, match="8 steps, got step 9"):
        draw_map(recording, 8, "Temperature", [1.0])


def test_a_draw_map_of_values_that_leave_nothing_is_one_line(record):
    """The best token, alone after TopK(1), is suppressed, and TopP has no token to look at."""
    recording = open_recording(record(stages="TopK(9)"))
    best = recording.trace.steps[0].decision.candidates[0].id
    recording = open_recording(record(stages=f"TopK(9) Suppress([{best}]) TopP(0.9)"))
    assert draw_map(recording, 0, "TopK", [9.0], 5).ids.shape == (5, 1)
    with pytest.raises(MinilmError, match="removed every token, so none can follow"):
        draw_map(recording, 0, "TopK", [1.0])


def test_margins_of_a_recorded_step_name_a_change_that_flips_it(record):
    recording = open_recording(record())
    for index in range(8):
        found = recording.margins(index)
        logits, context, u = recording.inputs(index, recording.stages(index))
        if found.logit is not None:
            changed = logits.copy()
            changed[found.logit.token] += np.float32(found.logit.by)
            assert choose_token(changed, context, recording.stages(index), u) == found.logit.chosen
