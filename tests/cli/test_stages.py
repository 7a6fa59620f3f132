"""`minilm stages`: each stage with an example that parses; presets and dialects as they are."""

import json

import pytest
from click.testing import CliRunner

from minilm.cli import command as minilm
from minilm.sampling import parse, spell
from minilm.sampling.constraints.stage import JsonSchema
from minilm.sampling.dialects import DIALECTS, PRESETS
from minilm.sampling.parsing import EXAMPLES, STAGES


def listed(*names):
    done = CliRunner().invoke(minilm, ["stages", *names])
    return done.exit_code, done.output if done.exception is None or done.exit_code else repr(done.exception)


def test_every_stage_is_listed_once_with_an_example_that_parses():
    examples = [parse(example) for example in EXAMPLES]
    assert [spell(stages) for stages in examples] == list(EXAMPLES)
    assert sorted(type(stage).__name__ for (stage,) in examples) == sorted(STAGES)
    code, shown = listed()
    assert code == 0
    assert all(f"\n  {example}  " in shown for example in EXAMPLES)
    assert all(len(line) <= 100 for line in shown.splitlines())


def test_presets_and_dialects_are_those_that_are_used():
    _, shown = listed()
    assert all(f"{name:<8}  {stages}\n" in shown for name, stages in PRESETS.items())
    for name, order in DIALECTS.items():
        said = shown.partition(f"\n  {name} ")[2].split()
        assert said[: len(order)] == [kind.__name__ for kind in order]


@pytest.mark.parametrize("name", STAGES)
def test_a_name_shows_the_whole_docstring_and_what_may_be_left_out(name):
    code, shown = listed(name)
    assert code == 0
    assert shown.startswith(f"{name}(")
    assert "table" not in shown.partition("\n")[0]
    assert (STAGES[name].__doc__ or "?").split("\n")[0] in shown


def test_arguments_stand_as_python_takes_them():
    assert listed("RepetitionPenalty")[1].startswith("RepetitionPenalty(theta, last=None)\n")
    assert listed("Regex")[1].startswith("Regex(pattern, canonical=True, after=0)\n")


def test_an_unknown_name_is_refused():
    done = CliRunner().invoke(minilm, ["stages", "topk"])
    assert str(done.exception) == "No stage is called 'topk'; minilm stages lists them"


def test_a_schema_and_a_grammar_are_read_from_files_and_stand_before_the_other_stages(tmp_path):
    """JSON's own false and null, a byte order mark and ends of lines are taken as they are."""
    pytest.importorskip("llguidance", reason="constraints are llguidance's")
    schema = {"enum": [None, False]}
    (tmp_path / "schema").write_bytes(b"\xef\xbb\xbf" + json.dumps(schema).encode())
    (tmp_path / "grammar").write_text('start: "null"\r\n | "no"\n', encoding="utf-8", newline="")
    words = ["generate", "--json-schema", str(tmp_path / "schema"), "--top-k", "40", "--json"]
    lines = CliRunner().invoke(minilm, words).stdout.splitlines()
    assert json.loads(lines[0])["start"]["stages"] == f"{JsonSchema(schema)!r} TopK(40)"
    assert json.loads(lines[-1])["end"]["text"] in ("null", "false")
    words = ["generate", "--grammar", str(tmp_path / "grammar"), "--dialect", "hf", "--show", "text"]
    assert CliRunner().invoke(minilm, words).stdout in ("null\n", "no\n")


def test_json_that_is_nested_too_deep_is_refused(tmp_path):
    (tmp_path / "schema").write_text("[" * 100_000, encoding="utf-8")
    done = CliRunner().invoke(minilm, ["generate", "--json-schema", str(tmp_path / "schema")])
    assert str(done.exception).endswith("is no JSON: nested too deep")
