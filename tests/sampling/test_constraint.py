"""Constraints: re.fullmatch, json and jsonschema, and the list of choices are the oracles."""

import json
import re
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.generation import open_session, start
from minilm.records import Reading, frozen_array
from minilm.sampling import Context, Scores, decide, parse, spell
from minilm.sampling.constraints.stage import Choice, Grammar, JsonSchema, Regex
from minilm.sampling.dialects import arrange

pytest.importorskip("llguidance", reason="constraints are llguidance's")

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "blue", None]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
REGEXES = [
    r"[A-Z][a-z]{0,4} [0-9]{2}!",
    r"(ab|ba|a/b)+",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    r"(größer|中+|😀){1,3}",
    r"x?\n\.\\",
]


class Dice:
    """A model of random logits: a pure function of what it has read, with no end in sight."""

    name, embedding_size, context_size = "dice", 2, None

    def __init__(self, vocab_size, seed=0):
        self.vocab_size, self.seed = vocab_size, seed

    def read(self, ids, state=None, **_):
        before = (*(state or ()), *map(int, ids))
        rng = np.random.default_rng([self.seed, len(before), *before[-3:]])
        logits = (3 * rng.standard_normal((1, self.vocab_size))).astype(np.float32)
        return Reading(frozen_array(logits), frozen_array(np.ones((len(ids), 2), np.float32)), before)


@pytest.fixture(params=["pieces", "stories", "gpt2"])
def codec(request):
    return request.getfixturevalue(request.param)


def generated(codec, stages, seed=0, tokens=250, prompt="Once upon a time"):
    """The text, and how it ended."""
    cursor = start(Dice(codec.vocab_size, seed), codec, prompt, stages, seed, max_tokens=tokens)
    steps = list(cursor.steps())
    return "".join(step.new_text for step in steps), steps


def context(ids=(), prompt=1):
    return Context(np.array([5] * prompt + list(ids)), prompt)


def test_a_choice_is_one_of_its_texts(codec):
    texts = ["Yes", "No", "Nothing at all", "größer 中"]
    stage = Choice(texts).bind(codec)
    written = {generated(codec, [stage], seed)[0].removeprefix(" ") for seed in range(25)}
    assert written <= set(texts)
    assert len(written) > 1


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("pattern", REGEXES)
def test_a_regex_matches_the_whole_text(codec, pattern, canonical):
    stage = Regex(pattern, canonical=canonical).bind(codec)
    for seed in range(4):
        text, steps = generated(codec, [stage], seed)
        assert steps[-1].finish in ("constraint", "eos")
        assert re.fullmatch(pattern, text), text


def test_a_schema_gives_json_that_jsonschema_accepts(codec):
    jsonschema = pytest.importorskip("jsonschema")
    stage = JsonSchema(SCHEMA).bind(codec)
    for seed in range(6):
        text, steps = generated(codec, [stage], seed)
        assert steps[-1].finish == "constraint", text
        jsonschema.validate(json.loads(text), SCHEMA)
        assert text == json.dumps(json.loads(text), ensure_ascii=False) or "\\" in text


def test_a_grammar_balances_what_no_regex_could(pieces):
    stage = Grammar('start: "a" start "b" | "ab"').bind(pieces)
    for seed in range(5):
        text, _ = generated(pieces, [stage], seed, tokens=400)
        half = len(text) // 2
        assert text == "a" * half + "b" * half


def test_every_token_that_is_offered_is_taken(codec):
    """The fault of dummy prefixes and normalisers: a token is offered, and refused once it is chosen."""
    for canonical in (True, False):
        stage = Regex(r" ?[A-Za-z]+( [a-z]+){2}\.", canonical=canonical).bind(codec)
        allowed = np.flatnonzero(stage.allowed(context(), canonical))
        assert allowed.size > 20
        for token_id in allowed.tolist()[:300]:
            assert not (stage.ending(context([token_id])) or "").endswith(("broken", "impossible"))
            stage.allowed(context([token_id]), canonical)


def test_the_mask_by_bytes_is_every_token_whose_bytes_fit(codec):
    stage = Regex("[a-c]{1,3}", canonical=False).bind(codec)
    allowed = stage.allowed(context(), canonical=False)
    fits = [re.fullmatch(rb"[a-c]{1,3}", codec.piece_bytes(i)) is not None for i in range(codec.vocab_size)]
    assert allowed.tolist() == fits


def test_canonical_tokens_write_what_must_follow_as_the_tokenizer_would(codec):
    text = "Nothing at all"
    stage = Regex(text).bind(codec)
    _, steps = generated(codec, [stage])
    ids = [step.decision.chosen.id for step in steps]
    anchored = codec.encode("\n" + text)
    assert ids == anchored[-len(ids) :]
    both = stage.note(context())
    fits, canonical = map(int, re.findall(r"\d+", both))
    assert fits > canonical == 1


def test_both_masks_stand_in_the_ledger_and_in_the_removals(pieces):
    _, steps = generated(pieces, [Regex("Nothing").bind(pieces)])
    effect = steps[0].decision.stages[0]
    assert re.fullmatch(r"\d+ tokens fit by their bytes, 1 of them canonical", effect.note)
    wanted = pieces.encode("N")
    stage = Regex("Nothing").bind(pieces)
    before = Scores.of(np.zeros(pieces.vocab_size, np.float32))
    why = stage.reasons(before, context(), [*wanted, pieces.encode("!")[0]])
    assert "other pieces" in why[0]
    assert why[-1] == "its bytes do not fit"


def test_what_is_allowed_depends_on_the_ids_alone(pieces):
    """Asked in any order, after rewinds, branches and errors, a matcher answers as a fresh one does."""
    lark = JsonSchema(SCHEMA)
    used = lark.bind(pieces)
    runs = [[s.decision.chosen.id for s in generated(pieces, [used], seed)[1]] for seed in range(3)]
    places = [run[:n] for run in runs for n in range(0, len(run), 3)] + [[7, 7, 7]]
    rng = np.random.default_rng(0)
    for place in rng.permutation(len(places)).tolist() * 2:
        ids = places[place]
        fresh = lark.bind(pieces)
        assert used.ending(context(ids)) == fresh.ending(context(ids))
        if ids != [7, 7, 7]:
            assert np.array_equal(used.allowed(context(ids), True), fresh.allowed(context(ids), True))


def test_a_rewound_and_a_branched_cursor_give_the_same_steps(pieces):
    stage = JsonSchema(SCHEMA).bind(pieces)
    cursors = [start(Dice(pieces.vocab_size), pieces, "Once", [stage], max_tokens=40)]
    for _ in range(8):
        cursors.append(cursors[-1].advance())
    forward = [repr(cursor.peek()) for cursor in cursors]
    branch = list(cursors[3].with_branch(1).steps())
    assert branch
    assert [repr(c.with_settings(top=10).peek()) for c in reversed(cursors)] == forward[::-1]


def test_a_constraint_may_begin_after_some_tokens(pieces):
    """Up to there everything is as without it; behind it the text is one of the choices, and then ends."""
    free = generated(pieces, "Temperature(1.0)", seed=3, tokens=9)[1][:4]
    text, steps = generated(pieces, "Choice(['Yes', 'No'], after=4) Temperature(1.0)", seed=3)
    assert [s.decision.chosen for s in steps[:4]] == [s.decision.chosen for s in free]
    assert [s.decision.stages[0].note for s in steps[:4]] == ["begins after 4 tokens"] * 4
    assert text.removeprefix("".join(s.new_text for s in free)).strip() in ("Yes", "No")
    assert (steps[-1].finish, steps[3].finish) == ("constraint", None)


def test_a_constraint_begins_after_a_whole_number_of_tokens(pieces):
    for wrong in (-1, 1.5, True):
        with pytest.raises(MinilmError, match="begins after 0 or more tokens"):
            replace(Choice(["Yes"]), after=wrong).bind(pieces)


def test_a_constraint_that_is_put_into_a_session_begins_there_and_keeps_its_place(pieces):
    cursor = start(Dice(pieces.vocab_size), pieces, "Once", "Temperature(1.0)", 5, max_tokens=50)
    session = deque(open_session(cursor).run(3), maxlen=1)[0]
    session = session.with_stages("Choice(['Yes, yes']) Temperature(1.0)")
    assert spell(session.here.cursor.settings.stages) == "Choice(['Yes, yes'], after=3) Temperature(1.0)"
    later = deque(session.run(1), maxlen=1)[0].with_stages("Choice(['Yes, yes']) Temperature(0.5)")
    assert spell(later.here.cursor.settings.stages) == "Choice(['Yes, yes'], after=3) Temperature(0.5)"
    for text in ("Choice(['Yes, yes'], after=3)", "Choice(['Yes, yes'], after=2) TopK(9)"):
        assert spell(later.with_stages(text).here.cursor.settings.stages) == text  # taken at its word
    done = deque(later.run(50), maxlen=1)[0]
    assert done.here.finish == "constraint"
    assert "".join(step.new_text for step in done.here.kept[3:]).strip() == "Yes, yes"


def test_a_finished_constraint_ends_the_run_with_its_reason(pieces):
    _, steps = generated(pieces, [Choice(["Yes"]).bind(pieces)])
    assert steps[-1].finish == "constraint"
    assert steps[-1].decision.reason.endswith("Choice is complete")


def test_where_the_text_may_end_or_go_on_the_end_is_offered(pieces):
    stage = Regex("[0-9]+").bind(pieces)
    one = pieces.encode("1")
    eos = pieces.special_ids["eos"]
    assert not stage.allowed(context(), True)[eos]
    assert stage.allowed(context(one), True)[eos]
    assert stage.ending(context(one)) is None
    other = Context(np.array([5, *one]), 1, eos_ids=(9,))
    assert stage.allowed(other, True)[9]


class Few:
    """A codec of four letters, which cannot write everything."""

    special_ids = {}  # noqa: RUF012
    vocab_size = 4

    def encode(self, text, special=False):
        return ["ab c".index(letter) for letter in text if letter in "ab c"]

    def decode(self, ids):
        return "".join("ab c"[i] for i in ids)

    def piece(self, token_id):
        return "ab c"[token_id]

    def piece_bytes(self, token_id):
        return b"ab c"[token_id : token_id + 1]

    def stream(self):
        from tokenizer.stream import ByteDecoder

        return ByteDecoder(self.piece_bytes, 0)


def test_a_constraint_that_the_vocabulary_cannot_write_ends_where_it_gets_stuck():
    codec = Few()
    steps = list(start(Dice(4), codec, "a", [Regex("ab[x-z]").bind(codec)]).steps())
    assert steps[-1].finish == "constraint"
    assert "Regex is impossible: no token fits any more" in steps[-1].decision.reason
    with pytest.raises(MinilmError, match="Step 1 cannot be taken: Regex leaves no token"):
        start(Dice(4), codec, "a", [Regex("x").bind(codec)]).peek()


def test_a_forced_token_that_does_not_fit_ends_the_run(pieces):
    cursor = start(Dice(pieces.vocab_size), pieces, "Once", [Choice(["Yes", "No"]).bind(pieces)])
    step = cursor.peek(force=pieces.encode("!")[0])
    assert step.finish == "constraint"
    assert "Choice is broken" in step.decision.reason
    assert cursor.peek().finish != "constraint" or cursor.peek().decision.chosen.removed_by is None


def test_a_model_with_more_rows_than_pieces_never_draws_the_rest(pieces):
    stage = Regex("[a-z]+").bind(pieces)
    logits = np.zeros(pieces.vocab_size + 50, np.float32)
    logits[-1] = 30
    decision = decide(logits, context(), [stage], 0.99, lambda i: (str(i), b""))
    assert decision.chosen.id < pieces.vocab_size


@pytest.mark.parametrize(
    "text",
    [
        "Choice(['Yes', \"N'o\"])",
        "Regex('[0-9]+', canonical=False)",
        "Grammar('start: \"a\"')",
        "JsonSchema({'type': 'integer'})",
        "Choice(['a'], canonical=False, after=3)",
    ],
)
def test_parse_reads_back_what_a_constraint_says_of_itself(text):
    assert spell(parse(text)) == text
    assert parse(spell(parse(text))) == parse(text)


def test_the_hf_dialect_puts_constraints_before_forced_tokens_and_temperature():
    stages = parse("Temperature(0.5) ForcedEos(2) Choice(['a']) MinLength(3)")
    assert [type(s).__name__ for s in arrange(stages, "hf")] == [
        "MinLength",
        "Choice",
        "ForcedEos",
        "Temperature",
    ]


def deep_schema():
    inner = {}
    for _ in range(5000):
        inner = {"items": inner}
    return JsonSchema(inner)


def heavy_schema():
    parts = [{f"p{i}": {"type": "string", "pattern": f".*{j}.*"} for i in range(20)} for j in range(60)]
    return JsonSchema({"allOf": [{"type": "object", "properties": part} for part in parts]})


HOSTILE = {
    "a regex that explodes": lambda: Regex(r"((((.{1,100}){1,100}){1,100}){1,100}){1,100}"),
    "a repetition without end": lambda: Regex("x{4294967295}"),
    "a regex of 30,000 brackets": lambda: Regex("(" * 30_000 + "a" + ")" * 30_000),
    "a deep grammar": lambda: Grammar("start: " + "(" * 40_000 + '"a"' + ")" * 40_000),
    "rules that overflow a stack": lambda: Grammar(
        "start: r0\n" + "\n".join(f"r{i}: r{i + 1}?" for i in range(5000)) + '\nr5000: "a"'
    ),
    "a grammar of doubling rules": lambda: Grammar(
        "start: r0\n" + "\n".join(f"r{i}: r{i + 1} r{i + 1}" for i in range(40)) + '\nr40: "a"'
    ),
    "a schema of 1 MB": lambda: JsonSchema({"properties": {f"{i}" * 9: {} for i in range(30_000)}}),
    "a deep schema": deep_schema,
    "a schema that is slow to prepare": heavy_schema,
    "a schema elsewhere": lambda: JsonSchema({"$ref": "http://localhost/x"}),
    "no regex": lambda: Regex("(["),
    "no grammar": lambda: Grammar("%%% \x00"),
    "half a character": lambda: Choice(["\ud800"]),
    "no choices": lambda: Choice([]),
    "look-around": lambda: Regex("(?=a)b"),
    "not a number": lambda: JsonSchema({"const": float("nan")}),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_constraint_is_refused_by_name_within_two_seconds(pieces, make):
    begun = time.process_time(), time.perf_counter()
    with pytest.raises(MinilmError, match=r"^(Regex|Grammar|JsonSchema|Choice) ") as error:
        make().bind(pieces)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    assert time.process_time() - begun[0] < 2
    assert time.perf_counter() - begun[1] < 10  # 2 s on a machine of its own; others may be at work here


def test_what_the_trial_lets_through_is_refused_before_the_first_step(pieces, monkeypatch):
    """The trial knows single bytes alone; pieces can ask more of llguidance than these."""
    monkeypatch.setattr("minilm.sampling.constraints.matcher.try_grammar", lambda lark: "")
    with pytest.raises(MinilmError, match=r"^Regex is refused: .*not supported"):
        Regex("(?=a)b").bind(pieces)


def test_llguidance_is_imported_only_when_a_constraint_is_bound():
    code = (
        "import sys, minilm; from minilm.sampling.constraints.stage import Regex; Regex('a');"
        "print('llguidance' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_llguidance_one_line_says_what_to_install(pieces, monkeypatch):
    monkeypatch.setattr("minilm.errors.find_spec", lambda name: None)
    with pytest.raises(MinilmError, match=r'pip install -e "\.\[constrain\]"'):
        Regex("a").bind(pieces)


def test_an_unbound_constraint_says_so():
    with pytest.raises(MinilmError, match="bind"):
        Regex("a").allowed(context(), True)
