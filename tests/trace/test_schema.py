"""The schema describes every field, accepts what the writer wrote, and refuses damage as the library does."""

import json
import random
from pathlib import Path

import jsonschema
import pytest

from minilm.errors import MinilmError
from minilm.generation import start
from minilm.trace import TraceWriter, read_trace
from minilm.trace import schema as made
from minilm.trace.schema import trace_schema
from minilm.trace.validate import find_fault

VALIDATOR = jsonschema.Draft202012Validator(trace_schema())


@pytest.fixture(scope="module")
def lines(model, codec, tmp_path_factory):
    """Every kind of line: all finish reasons, a forced token, watched ids, logits at -inf, the vocabulary."""
    path = tmp_path_factory.mktemp("trace") / "run.jsonl"
    written = []
    for stages in ("Temperature(1.5) TopK(9)", "Greedy()", "", "Suppress([40]) TopP(0.9) MinP(0.1)"):
        cursor = start(model, codec, "hé", stages, 3, max_tokens=4, watch=[5, 40])
        with (
            path.open("w", encoding="utf-8") as file,
            Path(f"{path}.npy").open("wb") as rows,
            TraceWriter(file, cursor, rows) as trace,
        ):
            for place in cursor.cursors():
                trace.step(place.peek(), place.reading.logits[-1])
            trace.step(cursor.peek(force=40))
        written += path.read_text("utf-8").splitlines()
    return [json.loads(line) for line in written]


def test_every_line_of_real_traces_is_valid(lines):
    for line in lines:
        VALIDATOR.validate(line)
        assert find_fault(line) is None


def test_a_trace_from_before_the_cuts_were_known_is_valid_and_read(model, codec, tmp_path):
    path = tmp_path / "run.jsonl"
    cursor = start(model, codec, "hé", "TopK(9)", 3, max_tokens=3)
    with path.open("w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:
        for step in cursor.steps():
            trace.step(step)
    before = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in before[1:-1]:
        del line["decision"]["fragile"]
        for effect in line["decision"]["stages"]:
            del effect["cut"]
    path.write_text("".join(json.dumps(line) + "\n" for line in before), encoding="utf-8")
    assert [find_fault(line) for line in before] == [None] * 5
    steps = read_trace(path).steps
    assert [(step.decision.cut, step.decision.fragile) for step in steps] == [(None, False)] * 3


def test_the_schema_is_itself_valid_and_describes_every_field():
    jsonschema.Draft202012Validator.check_schema(trace_schema())
    described = [p for d in trace_schema()["$defs"].values() for p in d["properties"].values()]
    for kind in trace_schema()["oneOf"][:3]:
        (value,) = (v for name, v in kind["properties"].items() if name != "schema")
        described += value["properties"].values()
    assert len(described) > 60
    assert all(field["description"].endswith(".") for field in described)


def test_the_shipped_file_is_the_schema_that_the_records_give():
    shipped = Path(made.__file__).with_name("trace.schema.json")
    assert json.loads(shipped.read_text("utf-8")) == trace_schema()


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def damaged(line, dice):
    """A copy of a line with one thing wrong in it."""
    copy = json.loads(json.dumps(line))
    path = dice.choice([p for p in places(copy) if p])
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    wrong = [None, -1, 10**30, 7.5, "x", "", [], {}, True, 0.5, [1, 2, 3], {"a": 1}]
    if isinstance(holder, dict) and dice.random() < 0.3:
        del holder[path[-1]]
    else:
        holder[path[-1]] = dice.choice(wrong)
    return copy


def test_our_check_refuses_what_the_jsonschema_package_refuses(lines):
    dice = random.Random(0)
    refused = 0
    for _ in range(1500):
        line = damaged(dice.choice(lines), dice)
        valid = VALIDATOR.is_valid(line)
        fault = find_fault(line) if line.get("schema") == 1 else "schema"
        if "1000000000000000000000000000000" in json.dumps(line):
            continue  # beyond 64 bits, which we alone refuse
        assert (fault is None) == valid, (fault, line)
        refused += not valid
    assert refused > 500


def test_500_damaged_traces_are_read_or_refused_in_one_line(lines, tmp_path):
    """Bits flipped, lines cut, swapped and mixed up: never another exception, and what is read is shown."""
    from minilm.faces.text import render

    dice, path = random.Random(1), tmp_path / "run.jsonl"
    whole = [
        json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines if "vocabulary" not in line
    ]
    refused = 0
    for _ in range(500):
        raw = bytearray(b"".join(whole))
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(raw))
            what = dice.randrange(4)
            if what == 0:
                raw[place] ^= 1 << dice.randrange(8)
            elif what == 1:
                del raw[place : place + dice.randint(1, 3000)]
            elif what == 2:
                raw[place:place] = raw[: dice.randint(1, 300)]
            else:
                raw[place : place + 1] = dice.choice([b"1e999", b"NaN", b"\\ud800", b"-", b"\xff", b"\n"])
        path.write_bytes(raw)
        try:
            steps = read_trace(path).steps
        except MinilmError as error:
            refused += "\n" not in str(error)
            continue
        for step in steps:
            render(step, "full")
    assert refused > 300


@pytest.mark.parametrize("text", ['{"a": ' * 50_000, '{"schema": 1, "end": NaN}', "1" * 9000])
def test_hostile_json_is_refused(tmp_path, text):
    path = tmp_path / "run.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(MinilmError, match="line 1: not JSON"):
        read_trace(path)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["decision", "u"], "1.0", "decision.u: 1.0 is above 1"),
        (["decision", "u"], "-0.1", "decision.u: -0.1 is below 0"),
        (["decision", "chosen", "logit"], "1e999", "decision.chosen.logit: inf is no number"),
        (["embedding", "vector", 3], "1e999", r"embedding.vector\[3\]: inf is no number"),
        (["index"], "9" * 30, "index: 9+ is no integer"),
        (["index"], "true", "index: True is no integer"),
        (["decision", "chosen", "p_final"], "1.1", "p_final: 1.1 is above 1"),
        (["decision", "interval"], "[0.5]", "decision.interval"),
        (["decision", "chosen", "bytes"], '"4"', "'4' is not hexadecimal"),
        (["new_text"], '"\\ud800"', "holds half a character"),
        (["decision", "colour"], "1", "decision.'colour' is no field of it"),
        (["finish"], '"tired"', "'tired' is none of"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(lines, tmp_path, path, value, words):
    line = json.loads(json.dumps(next(line for line in lines if "index" in line)))
    holder = line
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = "PLANTED"
    file = tmp_path / "run.jsonl"
    file.write_text(json.dumps(line).replace('"PLANTED"', value) + "\n")
    with pytest.raises(MinilmError, match=words):
        read_trace(file)
