"""A trace is checked against its stored logits, which settle what its lines alone cannot."""

import json

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.trace.audit.check import check_trace
from minilm.trace.audit.logits import check_replay
from minilm.trace.logits import logits_path

STAGES = "RepetitionPenalty(1.3) Temperature(0.9) TopK(30) TopP(0.95)"


def with_lie(path, change, line=4):
    """The trace with one of its lines changed."""
    lines = path.read_text("utf-8").splitlines()
    value = json.loads(lines[line - 1])
    change(value["decision"])
    lines[line - 1] = json.dumps(value, ensure_ascii=False)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.mark.parametrize(
    "stages",
    [STAGES, "", "Greedy()", "Bias({'é': 3.0}) Typical(0.8)", "Eta(0.01) Frequency(0.4) MinNewTokens(3)"],
)
def test_an_honest_run_is_what_its_logits_give(record, stages):
    audit = check_replay(record(stages=stages, seed=5, watch=[40]))
    assert (audit.violations, audit.same, audit.left_out) == ((), 8, None)


LIES = {
    "raw.entropy": (lambda d: d["raw"].update(entropy=d["raw"]["entropy"] + 1e-3), "the model, entropy"),
    "final.entropy": (lambda d: d["stages"][1].update(entropy=d["stages"][1]["entropy"] - 1e-3), "entropy"),
    "a reason that goes on": (
        lambda d: d.update(reason=d["reason"] + "; all is a lie"),
        "the choice, reason",
    ),
    "reason": (lambda d: d.update(reason="taken as the best of the survivors"), "the choice, reason"),
    "cut": (lambda d: d["stages"][2].update(cut=d["stages"][2]["cut"] + 1e-3), "TopK(30), cut"),
    "no cut": (lambda d: d["stages"][3].update(cut=None), "TopP(0.95), cut"),
    "fragile": (lambda d: d.update(fragile=not d["fragile"]), "the choice, fragile"),
    "note": (lambda d: d["stages"][0].update(note="all is well"), "RepetitionPenalty(1.3), note"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_that_the_lines_cannot_tell_is_found_by_the_logits(record, lie):
    change, named = LIES[lie]
    path = with_lie(record(stages=STAGES), change)
    assert not list(check_trace(path))
    (violation,) = check_replay(path).violations
    assert (violation.line, violation.identity) == (4, "replay")
    assert named in violation.what
    assert violation.what.startswith("Step 2 differs at ")


def test_a_trace_that_is_older_than_cuts_is_what_its_logits_give(record):
    path = record(stages=STAGES)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines[2:-1]:
        del line["decision"]["fragile"]
        for effect in line["decision"]["stages"]:
            del effect["cut"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert check_replay(path).violations == ()


def test_why_a_token_was_removed_is_checked_against_the_logits(record):
    path = with_lie(
        record(stages="TopK(3)"), lambda d: d["candidates"][5]["removed_by"].update(why="it smelled bad")
    )
    (violation,) = check_replay(path).violations
    assert "was removed: the line " in violation.what
    assert "it smelled bad" in violation.what


def test_fragile_is_checked_against_the_logits_where_no_stage_has_a_cut(record):
    path = with_lie(record(stages="Temperature(0.8)"), lambda d: d.update(fragile=not d["fragile"]))
    assert [violation.line for violation in check_replay(path).violations] == [4]


@pytest.mark.parametrize("label", ["Foo(3)", "TopK(", "ForcedBos(99999)"])
def test_a_stage_that_cannot_be_decided_again_is_a_violation(record, label):
    path = record(stages="TopK(30)")
    path.write_text(path.read_text("utf-8").replace("TopK(30)", label), "utf-8")
    audit = check_replay(path)
    assert (len(audit.violations), audit.same, audit.left_out) == (8, 0, None)


def test_a_number_in_the_logits_that_is_none_is_a_violation(record):
    path = record(stages="TopK(30)")
    with logits_path(path).open("r+b") as file:
        file.seek(128 + 4 * 250)
        file.write(np.float32("nan").tobytes())
    (violation,) = check_replay(path).violations
    assert violation.line == 3
    assert "not finite" in violation.what


def test_a_trace_whose_vocabulary_is_gone_is_refused(record):
    path = record()
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[2:]]), "utf-8")
    with pytest.raises(MinilmError, match="no line with its vocabulary"):
        check_replay(path)


def test_steps_that_need_a_tokenizer_are_left_out_and_why_is_said(record):
    pytest.importorskip("llguidance")
    audit = check_replay(record(stages="Regex('[a-z]+')"))
    assert (audit.violations, audit.same) == ((), 0)
    assert "which Regex needs" in audit.left_out


def test_the_logits_of_another_run_are_no_violation_but_an_error(record):
    path, other = record("a"), record("b", prompt="hé!")
    logits_path(path).write_bytes(logits_path(other).read_bytes())
    with pytest.raises(MinilmError, match="those of another run"):
        check_replay(path)
