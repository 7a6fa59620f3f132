"""A trace is strict JSON, one value a line, and reads back as the records it was written from."""

import io
import json

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.generation import start
from minilm.trace import TraceWriter, read_trace
from minilm.trace.json import as_json, dumps


def written(model, codec, **settings):
    cursor = start(model, codec, "hé", "Temperature(1.5) TopK(9)", 3, max_tokens=6, **settings)
    file = io.StringIO()
    steps = []
    with TraceWriter(file, cursor) as trace:
        for step in cursor.steps():
            trace.step(step)
            steps.append(step)
    return file.getvalue(), steps


def test_a_trace_reads_back_as_the_records_it_was_written_from(model, codec, tmp_path):
    text, steps = written(model, codec, watch=[5])
    path = tmp_path / "run.jsonl"
    path.write_text(text, encoding="utf-8")
    trace = read_trace(path)
    assert trace.steps == tuple(steps)
    assert trace.start["stages"] == "Temperature(1.5) TopK(9)"
    assert trace.end["ids"] == [step.decision.chosen.id for step in steps]
    assert trace.end["text"] == "".join(step.new_text for step in steps)
    assert trace.end["finish"] == "length"


def test_every_line_is_strict_json_with_the_schemas_version(model, codec):
    def refuse(name):
        raise AssertionError(name)

    text, steps = written(model, codec)
    lines = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert [line["schema"] for line in lines] == [1] * (len(steps) + 2)
    assert lines[1]["decision"]["chosen"]["id"] == steps[0].decision.chosen.id


def test_a_run_that_fails_leaves_its_trace_with_the_reason(model, codec):
    file = io.StringIO()
    with pytest.raises(RuntimeError), TraceWriter(file, start(model, codec, "a")):
        raise RuntimeError("stopped")
    assert json.loads(file.getvalue().splitlines()[-1])["end"]["error"] == "RuntimeError: stopped"


def test_a_line_cut_short_by_a_crash_is_left_out(model, codec, tmp_path):
    text, steps = written(model, codec)
    path = tmp_path / "run.jsonl"
    raw = text.encode()
    for cut in range(len(raw) - 2500, len(raw) - 1, 37):
        path.write_bytes(raw[:cut])
        whole = raw[:cut].count(b"\n") - 1  # the first line says what was asked
        assert read_trace(path).steps == tuple(steps[:whole])


def test_line_separators_of_unicode_do_not_break_a_line(model, codec, tmp_path):
    cursor = start(model, codec, "a\u2028b\u0085c", max_tokens=1)
    path = tmp_path / "run.jsonl"
    with path.open("w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:
        trace.step(cursor.peek())
    assert read_trace(path).start["prompt"] == "a\u2028b\u0085c"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nonsense\n", "line 1: not JSON"),
        ('{"schema": 2}\n', "schema 1 expected, got 2"),
        ("[1]\n", "schema 1 expected, got list"),
        ('{"schema": 1, "index": 0}\n', "line 1 is not a line of a trace"),
        ('{"schema": 1, "embedding": 3, "decision": []}\n', "line 1 is not a line of a trace"),
    ],
)
def test_a_line_that_is_no_trace_is_named(tmp_path, line, words):
    path = tmp_path / "run.jsonl"
    path.write_text(line + "{}\n", encoding="utf-8")
    with pytest.raises(MinilmError, match=words):
        read_trace(path)


def test_a_missing_or_binary_file_is_one_line(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\n{}")
    for name, words in (("missing", "cannot be read"), ("binary", "not JSON|schema"), ("", "cannot be read")):
        with pytest.raises(MinilmError, match=words):
            read_trace(tmp_path / name)


def test_an_array_too_has_null_where_json_has_no_number():
    """A half-life can be infinite, and an attention that is no number is still a line."""
    rows = as_json({"half_life": np.array([[np.inf, 1.5], [np.nan, -np.inf]], np.float32)})
    assert json.loads(dumps(rows))["half_life"] == [[None, 1.5], [None, None]]
    assert as_json(np.array([1, 2])) == [1, 2]
