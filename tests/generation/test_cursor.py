"""A cursor is a place in a generation; moving makes a new one and leaves the old."""

import numpy as np
import pytest

from minilm.dice import draw
from minilm.errors import MinilmError
from minilm.generation import start, stream
from minilm.sampling import Temperature, TopK

STAGES = "Temperature(0.9) TopK(30) TopP(0.95)"


def run(model, codec, prompt="hello", stages=STAGES, **settings):
    return list(stream(model, codec, prompt, stages, **{"max_tokens": 12, **settings}))


def chosen(steps):
    return [step.decision.chosen.id for step in steps]


def test_the_whole_prompt_reaches_the_model(model, codec):
    """The fault of many loops: only the last prompt token is read, and the first step forgets the rest."""
    first = run(model, codec, "abc")[0]
    logits = model.read(codec.encode("abc", special=True)).logits[-1]
    by_id = {c.id: c.logit for c in first.decision.candidates}
    assert by_id == {i: float(logits[i]) for i in by_id}


def test_a_step_shows_the_embedding_of_the_id_that_was_read(model, codec):
    table = model.embedding_table()
    steps = run(model, codec)
    read = [codec.encode("hello")[-1], *chosen(steps)[:-1]]
    before = [codec.encode("hello")[-2], *read[:-1]]
    for step, this, last in zip(steps, read, before, strict=True):
        assert step.id == this
        assert np.array_equal(step.embedding.vector, table[this])
        assert step.embedding.norm == pytest.approx(np.linalg.norm(table[this]), rel=1e-6)
        cosine = table[this] @ table[last] / np.linalg.norm(table[this]) / np.linalg.norm(table[last])
        assert step.embedding.cosine == pytest.approx(float(cosine), abs=1e-6)


def test_a_prompt_of_one_id_has_no_cosine(model, codec):
    assert run(model, codec, [2])[0].embedding.cosine is None


def test_draws_are_a_function_of_seed_and_position(model, codec):
    steps = run(model, codec, seed=5)
    assert [step.decision.u for step in steps] == [draw(5, step.position) for step in steps]
    assert [step.position for step in steps] == list(range(5, 17))


def test_equal_seeds_give_equal_records_and_other_seeds_other_text(model, codec):
    assert run(model, codec, seed=1) == run(model, codec, seed=1)
    assert chosen(run(model, codec, seed=1)) != chosen(run(model, codec, seed=2))


def test_going_back_and_on_again_gives_the_same_records(model, codec):
    cursors = [start(model, codec, "hello", STAGES, 7)]
    for _ in range(8):
        cursors.append(cursors[-1].advance())
    again = cursors[3]
    for old in cursors[3:]:
        assert again.peek() == old.peek()
        again = again.advance()


def test_a_forced_token_moves_like_a_drawn_one(model, codec):
    cursor = start(model, codec, "hello", STAGES, 7)
    drawn = cursor.peek().decision.chosen.id
    assert cursor.advance(drawn).peek() == cursor.advance().peek()
    assert cursor.peek(force=9).decision.forced
    assert cursor.advance(9).peek().id == 9


def test_a_branch_throws_dice_of_its_own(model, codec):
    cursor = start(model, codec, "hello", STAGES, 7)
    branch = cursor.with_branch(1)
    assert branch.peek().decision.u != cursor.peek().decision.u
    assert branch.peek().decision.raw == cursor.peek().decision.raw


def test_stages_can_change_on_the_way(model, codec):
    cursor = start(model, codec, "hello", STAGES, 7).advance()
    assert cursor.with_settings(stages="TopK(1)").peek().decision.survivors == 1


def test_the_new_texts_join_to_the_decoded_whole_and_offsets_count_its_bytes(model, codec):
    for seed in range(20):
        steps = run(model, codec, seed=seed, max_tokens=40, stages="Temperature(2.0)")
        text = "".join(step.new_text for step in steps)
        assert text == codec.decode(chosen(steps))
        offset = 0
        for step in steps:
            assert step.offset == offset
            offset += len(step.new_text.encode())


def test_no_replacement_character_is_shown_before_its_bytes_are_complete(model, codec):
    cursor = start(model, codec, "x")
    shown = []
    for byte in "é→🙂".encode():
        shown.append(cursor.peek(force=4 + byte).new_text)
        cursor = cursor.advance(4 + byte)
    assert shown == ["", "é", "", "", "→", "", "", "", "🙂"]
    assert cursor.text == "é→🙂"


def test_from_half_a_character_the_text_goes_on_in_several_ways(model, codec):
    half = start(model, codec, "x").advance(4 + 0xC3)
    assert [half.advance(4 + byte).text for byte in (0xA9, 0xA8, 0xA9)] == ["é", "è", "é"]


def test_a_text_ends_on_eos_stop_string_limit_or_full_context(model, codec):
    ids = chosen(run(model, codec))
    assert run(model, codec, eos_ids=[ids[4]])[-1].finish == "eos"
    text = run(model, codec, "a", "Bias({37: 50.0})", stop=["!!!"])
    assert [step.finish for step in text] == [None, None, "stop"]
    assert [step.finish for step in run(model, codec, max_tokens=2)] == [None, "length"]


def test_a_full_context_ends_the_text(codec):
    class Short:
        """A model of four places that always likes the letter a."""

        name, vocab_size, embedding_size, context_size = "short", 260, 1, 4

        def read(self, ids, state=None, *, rows="last", inner=()):
            from minilm.records import Reading

            seen = (state or 0) + len(ids)
            assert seen <= self.context_size
            return Reading(np.eye(260)[None, 101] * 9, np.ones((len(ids), 1)), seen)

    steps = run(Short(), codec, [5, 6], "Greedy()")
    assert [step.finish for step in steps] == [None, None, "context"]


def test_stages_may_be_given_as_text_or_as_stages(model, codec):
    assert run(model, codec, stages="Temperature(0.9) TopK(3)") == run(
        model, codec, stages=[Temperature(0.9), TopK(3)]
    )


def test_nothing_is_generated_where_nothing_is_asked_for(model, codec):
    assert run(model, codec, max_tokens=0) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": []}, "no ids"),
        ({"prompt": [260]}, "260"),
        ({"prompt": [-1]}, "-1"),
        ({"max_tokens": -1}, "0 or more, got -1"),
        ({"stop": [""]}, "stop string"),
        ({"top": 0}, "1 or more"),
        ({"watch": [999]}, "999"),
        ({"stages": "TopK"}, "written like"),
        ({"inner": ["nothing"]}, "nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_first_step(model, codec, change, words):
    with pytest.raises(MinilmError, match=words):
        stream(model, codec, **{"prompt": "a", **change})


def test_a_logit_that_is_not_a_number_stops_the_run_and_names_the_step(model, codec):
    cursor = start(model, codec, "hello", STAGES).advance()
    cursor.reading.logits.flags.writeable = True
    cursor.reading.logits[-1, 17] = np.nan
    with pytest.raises(MinilmError, match=r"Step 2 .*1 of 260 logits .* id 17"):
        cursor.peek()
