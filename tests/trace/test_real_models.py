"""A real transformer's run: recorded, checked, replayed bit for bit, reopened to 1e-5."""

from dataclasses import replace

import pytest

from minilm.generation import start
from minilm.trace import Trace, TraceWriter, read_trace
from minilm.trace.audit.check import check_trace
from minilm.trace.diff import diff
from minilm.trace.logits import logits_path
from minilm.trace.replay import open_recording
from minilm.trace.resume import reopen

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def opened(real_data):
    huggingface = pytest.importorskip("minilm.backends.huggingface.open")
    from tokenizer.huggingface import from_transformers

    model, raw = huggingface.open_hugging_face(str(real_data / "models" / "stories260K"))
    return model, from_transformers(raw)


@pytest.mark.parametrize(
    "stages", ["RepetitionPenalty(1.1) Temperature(0.9) TopK(40) TopP(0.95)", "Greedy()"]
)
def test_a_recorded_run_is_checked_replayed_and_reopened(opened, tmp_path, stages):
    model, codec = opened
    path = tmp_path / "run.jsonl"
    cursor = start(model, codec, "Once upon a time", stages, 1, max_tokens=40)
    with (
        path.open("w", encoding="utf-8") as file,
        logits_path(path).open("wb") as rows,
        TraceWriter(file, cursor, rows) as writer,
    ):
        for place in cursor.cursors():
            writer.step(place.peek(), place.reading.logits[-1])
    assert list(check_trace(path)) == []
    recording = open_recording(path)
    assert all(one.decision == one.step.decision for one in recording.replay())
    trace = read_trace(path)
    for at in (0, 17, 39):
        again = Trace({}, tuple(reopen(trace, model, codec, at).steps()), None)
        assert list(diff(replace(trace, start={}, steps=trace.steps[at:]), again)) == []
