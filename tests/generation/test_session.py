"""A session is a value: going back and on again gives the same records, bit for bit."""

import gc
import tracemalloc
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.generation import open_session, start, stream

STAGES = "RepetitionPenalty(1.1) Temperature(0.9) TopK(30) TopP(0.95)"


@pytest.fixture
def cursor(model, codec):
    return start(model, codec, "hello", STAGES, 7, max_tokens=None, eos_ids=[])


def after(session, steps):
    return deque(session.run(steps), maxlen=1)[0]


def equal_places(one, other):
    assert np.array_equal(one.cursor.ids, other.cursor.ids)
    assert np.array_equal(one.cursor.reading.logits, other.cursor.reading.logits)
    assert (one.cursor.text, one.cursor.offset) == (other.cursor.text, other.cursor.offset)
    assert one.cursor.embedding == other.cursor.embedding
    assert one.cursor.settings == other.cursor.settings
    assert one.cursor.branch == other.cursor.branch
    assert one.cursor.peek() == other.cursor.peek()


def test_a_session_takes_the_steps_of_the_plain_loop(cursor, model, codec):
    session = after(open_session(cursor), 20)
    plain = stream(model, codec, "hello", STAGES, 7, max_tokens=None, eos_ids=[])
    assert list(session.here.steps()) == [next(plain) for _ in range(20)]


@pytest.mark.parametrize("window", [None, 1, 5, 100])
@pytest.mark.parametrize("steps", [1, 4, 17, 24])
def test_rewinding_and_running_on_gives_the_same_records(cursor, window, steps):
    """Kept places and places read again alike; stages, dice and watches changed on the way."""
    session = after(open_session(cursor, window), 6)
    session = after(session.with_stages("TopK(50)"), 6)
    session = after(session.new_branch().with_stages("Temperature(1.3)"), 12)
    again = session.back(steps)
    assert again.here.index == 24 - steps
    again = after(again, steps)
    equal_places(again.here, session.here)
    assert list(again.here.steps()) == list(session.here.steps())


def test_the_prompt_is_read_again_whole_and_the_rest_token_by_token(cursor):
    """Other parts would give other last digits."""
    session = after(open_session(cursor, 2), 9)
    parts, honest = [], cursor.model.read

    class Watched:
        def __getattr__(self, name):
            return getattr(type(self).model, name)

        def read(self, ids, state=None, **more):
            parts.append(len(ids))
            return honest(ids, state, **more)

    Watched.model = cursor.model
    here = replace(session.here, cursor=replace(session.here.cursor, model=Watched()))
    here.back(5)
    assert parts == [6, 1, 1, 1, 1]


def test_a_window_keeps_so_many_places_and_every_step_can_be_made_again(cursor):
    bounded, whole = after(open_session(cursor, 3), 12), after(open_session(cursor), 12)
    assert len(bounded.here.left) == 3
    assert len(whole.here.left) == 12
    assert list(bounded.here.steps()) == list(whole.here.steps())


def test_an_old_session_stays_usable(cursor):
    old = after(open_session(cursor), 4)
    after(old, 5)
    old.back(3).force(9)
    assert old.here.index == 4
    assert after(old, 5).last == after(old, 5).last


def test_a_forced_token_is_marked_and_comes_again_past_the_window(cursor):
    session = after(after(open_session(cursor, 2), 3).force(9), 6)
    steps = list(session.here.steps())
    assert [step.decision.forced for step in steps] == [False] * 3 + [True] + [False] * 6
    assert steps[3].decision.chosen.id == 9
    assert session.here.forced == (3,)
    assert session.back(7).here.forced == ()


def test_a_branch_shares_what_came_before_and_throws_its_own_dice(cursor):
    session = after(open_session(cursor), 5)
    same, fresh = session.new_branch(fresh=False), session.new_branch()
    assert after(same, 3).last == after(session, 3).last
    assert fresh.here.cursor.peek().decision.u != session.here.cursor.peek().decision.u
    assert fresh.here.parent == (0, 5)
    gone_back = after(fresh, 3).back(6)
    assert after(gone_back, 3).last == session.last
    assert after(gone_back, 6).last == after(fresh, 3).last
    assert after(fresh, 2).new_branch().here.cursor.branch == 2
    assert after(fresh, 2).switch(0).here.index == 5


def test_a_text_is_merged_as_the_tokenizer_would():
    """Over a vocabulary with merges: "ab" + "c" is cut anew where "abc" is one piece."""
    import tokenizer
    from minilm import backends
    from minilm.records import ModelConfig

    codec = tokenizer.train(lines=["the cat sat on the mat with the other cat"] * 5, vocab_size=290)
    model = backends.create("numpy", ModelConfig(codec.vocab_size, 8, 8))
    session = open_session(start(model, codec, "on the ca", seed=1, max_tokens=None, eos_ids=[]))
    for first, more in (("ca", "t sat"), (" o", "ther"), (" mat", " with")):
        now, _ = session.force_text(first)
        then, merged = now.force_text(more)
        ids = then.here.cursor.ids.tolist()
        assert ids == codec.merge(now.here.cursor.ids.tolist(), more)[0]
        assert codec.decode(ids) == "on the ca" + first + more
        kept = len(now.here.cursor.ids) - len(merged.removed)
        assert tuple(ids[kept:]) == merged.added
        assert then.here.cursor.text.endswith(more)


def test_a_text_that_changes_the_prompt_says_how_many_of_its_ids(cursor):
    class Greedy(type(cursor.codec)):
        """Ends a context otherwise as soon as something follows."""

        def merge(self, ids, text):
            return [*ids[:-2], 200, *self.encode(text)], len(ids) - 2

    session = open_session(replace(cursor, codec=Greedy()))
    prompt = cursor.ids.tolist()
    forced, merged = session.force_text("x")
    assert merged.removed == tuple(prompt[-2:])
    assert merged.of_prompt == 2
    assert merged.added == (200, 4 + ord("x"))
    assert forced.here.cursor.ids.tolist() == [*prompt[:-2], 200, 4 + ord("x")]
    assert forced.here.cursor.prompt_length == len(prompt) - 2
    assert forced.here.index == 2
    later, merged = after(session, 4).force_text("x")
    assert (merged.of_prompt, len(merged.removed), later.here.index) == (0, 2, 4)


def test_another_prompt_begins_the_branch_anew(cursor, model, codec):
    session = after(open_session(cursor), 5).with_prompt("good")
    assert session.here.index == 0
    plain = next(stream(model, codec, "good", STAGES, 7, max_tokens=None, eos_ids=[]))
    assert session.next().last == plain


def test_a_watched_token_is_among_the_candidates_on_every_branch_after_going_back_too(cursor):
    session = after(open_session(cursor), 3).new_branch().with_watched([250])
    for one in (session.next(), session.back(2).next(), session.switch(0).next()):
        assert 250 in {c.id for c in one.last.decision.candidates}
        assert 250 in one.last.decision.stages[0].watched


def test_a_breakpoint_pauses_the_run_at_the_first_step_where_it_holds(cursor):
    free = list(after(open_session(cursor), 40).here.steps())
    ranks = [step.decision.chosen.rank for step in free]
    session = open_session(cursor).with_breakpoint("rank > 12").with_breakpoint("index == 33")
    stops = []
    while session.here.index < 33:
        session = list(session.run())[-1]
        stops.append((session.here.index, session.pause.text))
    expected = [(n + 1, "rank > 12") for n, rank in enumerate(ranks[:33]) if rank > 12]
    assert stops == [*(stop for stop in expected if stop[0] < 33), stops[-1]]
    assert stops[-1][0] == 33
    assert session.without_breakpoint(1).breakpoints[0].text == "index == 33"


def test_the_end_of_the_text_is_known_to_a_breakpoint(model, codec):
    session = open_session(start(model, codec, "a", max_tokens=None)).with_breakpoint("p_eos > 0")
    assert session.next().pause.text == "p_eos > 0"


def test_the_end_stops_a_run_and_going_back_opens_it_again(model, codec):
    session = open_session(start(model, codec, "a", STAGES, max_tokens=4, eos_ids=[]))
    done = list(session.run())[-1]
    assert (done.here.index, done.here.finish) == (4, "length")
    assert done.back(1).here.finish is None
    assert done.back(1).next().last == done.last
    assert done.back(4).here.index == 0
    for refused in (done.next, lambda: done.force(5), lambda: done.force_text("a")):
        with pytest.raises(MinilmError, match="ended"):
            refused()


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (lambda s: s.back(1), "0 steps to go back, got 1"),
        (lambda s: s.next().back(0), "1 steps to go back, got 0"),
        (lambda s: s.switch(1), "numbered 0 to 0, got 1"),
        (lambda s: s.force(260), "260"),
        (lambda s: s.force_text(""), "adds no token"),
        (lambda s: s.with_prompt(""), "empty"),
        (lambda s: s.with_stages("TopK"), "written like"),
        (lambda s: s.with_watched([999]), "999"),
        (lambda s: s.with_breakpoint("entropie > 1"), "entropie"),
        (lambda s: s.without_breakpoint(1), "0 breakpoints, got number 1"),
        (lambda s: open_session(s.here.cursor, 0), "1 place or more, got a window of 0"),
        (lambda s: open_session(s.next().here.cursor), "after its prompt"),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_session_stays(cursor, move, words):
    session = open_session(cursor)
    with pytest.raises(MinilmError, match=words):
        move(session)
    assert session.next().here.index == 1


def test_memory_is_flat_in_bounded_mode(model, codec):
    """Past the window a step may cost its id and its text, and no more."""
    session = open_session(start(model, codec, "a", "TopK(20)", max_tokens=None, eos_ids=[]), 8)
    session = after(session, 100)
    tracemalloc.start()
    try:
        session = after(session, 100)
        gc.collect()  # the interpreter's own free lists too
        before = tracemalloc.get_traced_memory()[0]
        session = after(session, 3000)  # so that what is allocated once does not count
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 3000 * 50
