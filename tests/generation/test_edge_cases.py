"""The odd cases of sampling: a defined result or a named error, the same in every backend."""

import gc
import importlib.util
import io
import json
import os
import re
import tracemalloc
from collections import deque
from functools import cache

import numpy as np
import pytest

from minilm import backends
from minilm.errors import MinilmError
from minilm.generation import open_session, start, stream
from minilm.records import ModelConfig, Reading
from minilm.sampling import decide
from minilm.trace import TraceWriter
from tokenizer import TokenizerError

V = 260
CONTEXT = 16  # of the transformer; an LSTM has none
ALL = list(range(V))
BACKENDS = {"numpy": "numpy", "torch": "torch", "tensorflow": "tensorflow", "huggingface": "transformers"}


@cache
def made(name):
    if name != "huggingface":
        return backends.create(name, ModelConfig(V, 6, 8, seed=3))
    from minilm.backends.huggingface.open import create_gpt2

    return create_gpt2(V, width=16, context=CONTEXT, seed=5)


@pytest.fixture(params=BACKENDS)
def model(request):
    if not importlib.util.find_spec(BACKENDS[request.param]):
        pytest.skip(f"{BACKENDS[request.param]} is not installed")
    return made(request.param)


class Changed:
    """A model whose answers are changed before anyone sees them: change(logits (V,), how many it read)."""

    def __init__(self, model, change):
        self.model, self.change, self.parts = model, change, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def read(self, ids, state=None, **more):
        reading = self.model.read(ids, state, **more)
        self.parts.append(len(ids))
        logits = np.array(reading.logits)
        self.change(logits[-1], sum(self.parts))
        return Reading(logits, reading.embeddings, reading.state)


def run(model, codec, stages="", prompt="ab", **settings):
    return list(stream(model, codec, prompt, stages, 3, **{"max_tokens": 3, "eos_ids": [3], **settings}))


def survivors(model, codec, stages):
    return [step.decision.survivors for step in run(model, codec, stages)]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ("Temperature(0)", "above 0, got 0; for greedy use Greedy"),
        ("Temperature(-1)", "above 0, got -1"),
        ("Temperature(inf)", "above 0, got inf"),
        ("Temperature(1e-45)", "overflow; for greedy use"),
        ("TopK(0)", "whole number from 1, got 0"),
        ("TopK(-3)", "whole number from 1, got -3"),
        ("TopK(2.5)", "whole number from 1, got 2.5"),
        ("TopP(-0.1)", "between 0 and 1, got -0.1"),
        ("TopP(1.1)", "between 0 and 1, got 1.1"),
        ("MinP(2)", "between 0 and 1, got 2"),
        (f"Suppress({ALL})", "removed every token, so none can follow"),
        (f"ForcedBos({V})", f"speaks of id {V}, and the tokenizer has 0 to {V - 1}"),
        (f"ForcedEos({V})", f"speaks of id {V}, and the tokenizer has 0 to {V - 1}"),
        (f"Suppress([1, {V}])", f"speaks of id {V}"),
        (f"SuppressAtBegin([{V}])", f"speaks of id {V}"),
        (f"Bias({{{V + 1}: 2.0}})", f"speaks of id {V + 1}"),
        (f"SequenceBias({{(1, {V}): 2.0}})", f"speaks of id {V}"),
        (f"BadWords([1, ({V}, 1)])", f"speaks of id {V}"),
        ("Temperature(1e-46)", "overflow; for greedy use"),
    ],
)
def test_a_setting_that_leaves_nothing_is_a_named_error(model, codec, stages, words):
    with pytest.raises(MinilmError, match=words):
        run(model, codec, stages)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        *(("TopK(1)", 1), ("TopK(260)", V), ("TopK(999)", V), ("TopP(0)", 1), ("TopP(1)", V)),
        *(("MinP(0)", V), ("MinP(1)", 1), ("Greedy()", 1), ("", V), ("Temperature(1e39)", V)),
        *(("RepetitionPenalty(1e30)", V), ("Bias({5: 1e30, 6: -1e30})", V), ("Frequency(1e30)", V)),
    ],
)
def test_a_setting_at_its_end_has_a_defined_result(model, codec, stages, expected):
    assert survivors(model, codec, stages) == [expected] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_logit_that_is_no_number_stops_the_run_naming_step_count_and_id(model, codec, bad):
    def change(logits, read):
        if read == 5:  # beginning, a, b, and two generated tokens
            logits[[40, 90]] = bad
            logits[60] = -np.inf  # the sum of both infinities is no number either

    steps = []
    with pytest.raises(MinilmError, match=rf"Step 3 cannot be taken: 2 of 260 .* {bad} at id 40"):
        steps.extend(stream(Changed(model, change), codec, "ab", "TopK(9)", eos_ids=[]))


def test_logits_of_minus_infinity_everywhere_stop_the_run_and_some_are_ruled_out(model, codec):
    def all_gone(logits, read):
        logits[:] = -np.inf

    def but_two(logits, read):
        logits[[n for n in range(V) if n not in (70, 80)]] = -np.inf

    with pytest.raises(MinilmError, match="Step 1 cannot be taken: All 260 logits are -inf"):
        run(Changed(model, all_gone), codec)
    for step in run(Changed(model, but_two), codec):
        assert step.decision.survivors == 2
        assert step.decision.chosen.id in (70, 80)


def test_of_two_equal_best_tokens_greedy_takes_the_lower_id_and_top_k_keeps_both(model, codec):
    def tie(logits, read):
        logits[[50, 60]] = 30.0

    assert {step.decision.chosen.id for step in run(Changed(model, tie), codec, "Greedy()")} == {50}
    assert survivors(Changed(model, tie), codec, "TopK(1)") == [2, 2, 2]
    assert [step.decision.chosen.rank for step in run(Changed(model, tie), codec, "Greedy()")] == [1] * 3


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "prompt is empty"),
        ([], "no ids"),
        ([V], f"Id {V} at position 0"),
        ([5, -1], "Id -1 at position 1"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_refused(model, codec, prompt, words):
    with pytest.raises(MinilmError, match=words):
        stream(model, codec, prompt)


def test_the_beginning_alone_is_a_prompt(model, codec):
    first, *_ = run(model, codec, prompt=[2])
    assert (first.position, first.text, first.embedding.cosine) == (0, "<BOS>", None)


def test_a_prompt_as_long_as_the_context_gives_one_token_and_a_longer_one_is_refused(model, codec):
    full = [5] * CONTEXT
    if model.context_size is None:
        assert [step.finish for step in run(model, codec, prompt=full * 2)] == [None, None, "length"]
        return
    assert [step.finish for step in run(model, codec, prompt=full)] == ["context"]
    with pytest.raises(MinilmError, match=rf"{CONTEXT + 1}.* {CONTEXT}|{CONTEXT}.* {CONTEXT + 1}"):
        run(model, codec, prompt=[*full, 5])


@pytest.mark.parametrize("outside", [V, -1])
def test_an_id_outside_the_vocabulary_is_neither_forced_nor_watched(model, codec, outside):
    cursor = start(model, codec, "ab")
    for ask in (lambda: cursor.peek(force=outside), lambda: start(model, codec, "ab", watch=[outside])):
        with pytest.raises(MinilmError, match=rf"Id {outside} .*vocabulary of {V}"):
            ask()


def test_the_end_as_first_token_ends_the_text_with_nothing_in_it(model, codec):
    (step,) = run(model, codec, "Bias({3: 99.0})")
    assert (step.finish, step.new_text, step.decision.chosen.text) == ("eos", "", "<EOS>")


def test_no_new_token_is_no_step_and_fewer_is_refused(model, codec):
    assert run(model, codec, max_tokens=0) == []
    with pytest.raises(MinilmError, match="0 or more, got -1"):
        run(model, codec, max_tokens=-1)


def test_a_text_that_ends_inside_a_character_says_so_once_at_its_end(model, codec):
    half = f"Bias({{{4 + 0xE2}: 99.0}})"
    assert [step.new_text for step in run(model, codec, half, max_tokens=1)] == ["�"]
    texts = [step.new_text for step in run(model, codec, half)]
    assert texts[0] == ""
    assert "".join(texts) == codec.decode([4 + 0xE2] * 3)


def write(cursor, file, steps):
    """A run with its trace, as a command writes it; steps collects them as they come."""
    with TraceWriter(file, cursor) as trace:
        for step in cursor.steps():
            trace.step(step)
            steps.append(step)


def test_a_thousand_planted_nan_and_inf_all_stop_the_run_and_leave_its_trace(codec):
    """No token after, and the trace holds every step before with the reason at its end."""
    model, rng = made("numpy"), np.random.default_rng(0)
    chains = ["", "Greedy()", "TopK(5) TopP(0.9)", "Temperature(0.7) MinP(0.05)", "RepetitionPenalty(1.2)"]
    for number in range(1000):
        at, bad = int(rng.integers(4)), [np.nan, np.inf, -np.nan][number % 3]
        ids = np.sort(rng.choice(V, rng.integers(1, 4), replace=False))

        def plant(logits, read, at=at, bad=bad, ids=ids):
            if read == 2 + at:
                logits[ids] = bad

        file, steps = io.StringIO(), []
        cursor = start(Changed(model, plant), codec, "a", chains[number % 5], number, eos_ids=[])
        words = rf"Step {at + 1} cannot be taken: {ids.size} of {V} .* at id {ids[0]};"
        with pytest.raises(MinilmError, match=words):
            write(cursor, file, steps)
        lines = [json.loads(line) for line in file.getvalue().splitlines()]
        assert len(steps) == at == len(lines) - 2
        assert re.search(words, lines[-1]["end"]["error"])
        assert lines[-1]["end"]["ids"] == [step.decision.chosen.id for step in steps]


ODD = [
    *("", " ", "\n", "\t\t", "\x00", "\x1b[31m", "\ud800", "\ufeff", "\u0301", "\u202eabc", "\u2028", "</s>"),
    *(
        "<s>",
        "▁",
        "🙂" * 300,
        "👩‍👩‍👧",
        "字",
        "a" * 5000,
        "%s{}\\",
        "é\u0000b",
        [],
        [V * 9],
        [-1],
        [2],
        [2**70],
    ),
    *([0.5], ["a"], None, b"abc", 7, [[1]], [None]),
]


@pytest.mark.parametrize("prompt", ODD, ids=lambda prompt: repr(prompt)[:20])
def test_an_odd_prompt_is_refused_before_the_first_reading_or_has_a_defined_end(prompt):
    import tokenizer

    codec = tokenizer.train(lines=["an odd prompt"] * 3, vocab_size=270)
    counted = Changed(
        backends.create("numpy", ModelConfig(codec.vocab_size, 4, 4)), lambda logits, read: None
    )
    try:
        steps = list(stream(counted, codec, prompt, "TopK(5)", max_tokens=2))
    except (MinilmError, TokenizerError) as refused:
        error = str(refused)
    else:
        assert isinstance(prompt, str) or prompt == [2]
        assert steps[-1].finish in ("eos", "length")
        return
    assert "\n" not in error
    assert counted.parts == []


def test_with_the_debugger_or_without_logits_and_ids_are_equal_bit_for_bit(codec):
    """A thousand steps: model and draw alone, and the same through a session that looks and goes back."""
    model, stages = made("numpy"), "Temperature(0.9) TopK(40)"
    cursor = start(model, codec, "ab", stages, 5, max_tokens=None, eos_ids=[], watch=[7])
    session, reading, ids = open_session(cursor, 20), model.read(cursor.ids), cursor.ids.tolist()
    for _ in range(1000):
        here = session.here.cursor
        assert np.array_equal(here.reading.logits, reading.logits)
        u = here.peek().decision.u
        bare = decide(reading.logits[-1], here.context, cursor.settings.stages, u, cursor.texts, top=1)
        ids.append(bare.chosen.id)
        session = session.next()
        if session.here.index % 50 == 7:
            session = session.back(3).next().next().next()
        reading = model.read(ids[-1:], reading.state)
    assert session.here.cursor.ids.tolist() == ids


def test_memory_is_flat_with_a_trace_in_bounded_mode(codec):
    """A thousand steps; ids and text of the whole are all that may grow, in the session and the trace."""
    cursor = start(made("numpy"), codec, "a", "TopK(20)", 1, max_tokens=None, eos_ids=[])
    with open(os.devnull, "w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:

        def ahead(session, steps):
            def written():
                for now in session.run(steps):
                    trace.step(now.last)
                    yield now

            return deque(written(), maxlen=1)[0]

        session = ahead(open_session(cursor, 16), 200)
        tracemalloc.start()
        try:
            session = ahead(session, 100)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            session = ahead(session, 1000)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 1000 * 120


@pytest.mark.parametrize("window", [None, 2])
def test_going_back_and_on_gives_the_same_records_in_every_backend(model, codec, window):
    """Kept places, and past the window places read again: bit for bit in one framework on one machine."""
    cursor = start(model, codec, "ab", "Temperature(0.9) TopK(40)", 4, max_tokens=10, eos_ids=[])
    session = deque(open_session(cursor, window).run(9), maxlen=1)[0]
    other = session.back(2).force(9)
    again = deque(session.back(6).run(6), maxlen=1)[0]
    assert list(again.here.steps()) == list(session.here.steps())
    assert again.here.cursor.peek() == session.here.cursor.peek()
    assert other.here.cursor.ids[-1] == 9
