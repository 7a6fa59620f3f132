"""How a run ends where a constraint leaves nothing: one line names the cause, and the trace is kept."""

import json
import sys

import numpy as np
import pytest

from minilm import cli
from minilm.errors import MinilmError
from minilm.generation import start, stream
from minilm.records import Reading, frozen_array
from minilm.sampling.constraints.stage import Regex

pytest.importorskip("llguidance", reason="constraints are llguidance's")

BEFORE = "a stage before it removed every token that fits; loosen that one, or put it after"
COMPLETE = "Regex is complete, and nothing here can end the text; let it be ended, or ask for more text"
NOTHING = [  # stages, the step that cannot be taken, why
    ("TopK(1) Choice(['Yes'])", 1, f"Choice leaves no token: {BEFORE}"),
    ("Suppress([36, 93, 753, 799]) Choice(['Yes'])", 1, f"Choice leaves no token: {BEFORE}"),
    ("BadWords(['Yes']) Choice(['Yes'])", 2, f"Choice leaves no token: {BEFORE}"),
    (
        "Choice(['Yes']) Suppress([753, 799])",
        1,
        "Suppress([753, 799]) removed every token, so none can follow",
    ),
    (
        "Choice(['Yes']) Suppress([753, 613])",
        2,
        "Suppress([753, 613]) removed every token, so none can follow",
    ),
    ("MinNewTokens(3) Regex('a{0}')", 1, f"Regex leaves no token: {COMPLETE}"),
]


def minilm(monkeypatch, capsys, *arguments):
    """The exit code and both outputs of a command."""
    monkeypatch.setattr(sys, "argv", ["minilm", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code, *capsys.readouterr()


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("stages", "step", "why"), NOTHING)
def test_where_nothing_is_left_generate_says_why_in_one_line_and_keeps_the_trace(
    monkeypatch, capsys, tmp_path, stages, step, why
):
    path = tmp_path / "run.jsonl"
    asked = ["--prompt", "Once", "--stages", stages, "--trace", str(path), "--max-tokens", "6"]
    code, _, err = minilm(monkeypatch, capsys, "generate", *asked)
    assert code == 2
    assert err.startswith(f"minilm: Step {step} cannot be taken: {why}")
    assert err.count("\n") == 1
    first, *steps, last = lines_of(path)
    assert first["start"]["stages"] == stages
    assert len(steps) == step - 1 == len(last["end"]["ids"])
    assert last["end"]["finish"] is None
    assert last["end"]["error"] == f"MinilmError: {err.removeprefix('minilm: ').strip()}"


@pytest.mark.parametrize(("stages", "step", "why"), NOTHING)
def test_where_nothing_is_left_the_debugger_refuses_the_step_and_goes_on_with_other_stages(
    monkeypatch, capsys, tmp_path, stages, step, why
):
    script = tmp_path / "script"
    script.write_text("\n".join(["continue", "next", "stages TopK(1)", "next", "quit"]), encoding="utf-8")
    asked = ["--prompt", "Once", "--stages", stages, "--script", str(script)]
    code, out, err = minilm(monkeypatch, capsys, "debug", "generate", *asked)
    assert (code, err) == (0, "")
    assert out.count(f"refused: Step {step} cannot be taken: {why}") == 2
    assert f"step {step} " in out.split("stages TopK(1)")[1]


def test_a_constraint_that_no_run_can_follow_is_refused_before_the_first_step(monkeypatch, capsys, tmp_path):
    path = tmp_path / "run.jsonl"
    asked = ["--prompt", "Once", "--stages", "Grammar('start: start \"a\"')", "--trace", str(path)]
    for command in (["generate", *asked], ["debug", "generate", *asked[:4]]):
        code, out, err = minilm(monkeypatch, capsys, *command)
        assert (code, out) == (2, "")
        assert err == "minilm: Grammar is refused: no text fits it to its end; give each rule a way to end\n"
    assert not path.exists()


class Letters:
    """A codec of a few letters, which cannot write everything, with an end."""

    special_ids = {"eos": 4}  # noqa: RUF012
    vocab_size = 5

    def encode(self, text, special=False):
        return ["ab c".index(letter) for letter in text if letter in "ab c"]

    def piece(self, token_id):
        return "ab c$"[token_id]

    def piece_bytes(self, token_id):
        return b"ab c"[token_id : token_id + 1]

    def stream(self):
        from tokenizer.stream import ByteDecoder

        return ByteDecoder(self.piece_bytes, 0)


class Flat:
    """A model that finds all tokens equally likely."""

    name, vocab_size, embedding_size, context_size = "flat", 5, 1, None

    def read(self, ids, state=None, **_):
        return Reading(
            frozen_array(np.zeros((1, 5), np.float32)), frozen_array(np.ones((len(ids), 1), np.float32)), 0
        )


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("stages", ["", " TopK(1)", " Suppress([2])"])
def test_a_constraint_that_becomes_impossible_on_the_way_ends_the_run_with_its_reason(stages, canonical):
    """In the step after which nothing fits, whatever stages follow: no error, and not called complete."""
    asked = f"{Regex('ab[x-z]', canonical=canonical)!r}{stages}"
    steps = list(stream(Flat(), Letters(), "a", asked))
    assert [step.finish for step in steps] == [None, "constraint"]
    assert steps[-1].decision.reason.endswith("; Regex is impossible: no token fits any more")


def test_an_impossible_constraint_says_what_to_do_and_a_complete_one_is_not_called_impossible():
    words = "Regex leaves no token: Regex is impossible: no token fits any more; ask for a text that"
    with pytest.raises(MinilmError, match=words):
        start(Flat(), Letters(), "a", "Regex('x')").peek()
    with pytest.raises(MinilmError, match=f"Regex leaves no token: {COMPLETE}"):
        start(Flat(), Letters(), "a", "Regex('a{0}')", eos_ids=[]).with_settings(
            stages="Suppress([4]) Regex('a{0}')"
        ).peek()
    (step,) = stream(Flat(), Letters(), "a", "Regex('a{0}')")
    assert (step.finish, step.new_text) == ("eos", "")
