"""minilm inside: every subcommand as a table, as JSON and as a picture."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from minilm import backends
from minilm.cli import command as minilm
from minilm.cli import inside as cli
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.workflows.open import Opened

LOOKS = {
    "gates": (["--layer", "1"], "half-life of a unit's memory"),
    "memory": (["--token", "a", "--rather-than", "#9"], "residual"),
    "units": (["--token", "#7"], "residual"),
    "neighbours": (["--token", "\x1b"], "nearest to"),
    "attention": (["--layer", "2"], "looks most at"),
    "lens": ([], "its own best"),
}
HF = ("attention", "lens")


class Codec:
    special_ids = {"bos": 0}  # noqa: RUF012
    vocab_size = 128

    def encode(self, text, special=False):
        return [0] * special + [ord(letter) % 128 for letter in text]

    def piece(self, token_id):
        return chr(token_id)

    def piece_bytes(self, token_id):
        return chr(token_id).encode() if token_id else b""


@pytest.fixture
def run(monkeypatch, tmp_path):
    def ran(name, *options):
        if name in HF or "hf" in options:
            pytest.importorskip("transformers")
            from minilm.backends.huggingface.open import create_gpt2

            model = create_gpt2(128, layers=3, heads=2, width=16, context=64, seed=1)
        else:
            model = backends.create("numpy", ModelConfig(128, 8, 12, layers=2, seed=1))
        monkeypatch.setattr(cli.InsideRequest, "open", lambda self: Opened(model, Codec(), ()))
        monkeypatch.chdir(tmp_path)
        options = [o for o in options if o != "hf"]
        return CliRunner().invoke(minilm, ["inside", name, "--prompt", "a\x1b[1m fox", *options])

    return ran


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_is_a_table_of_which_nothing_is_raw_and_a_picture(run, name, tmp_path):
    options, words = LOOKS[name]
    result = run(name, *options, "--plot", "look.png")
    assert result.exit_code == 0, result.output
    assert words in result.stdout
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 110
    assert (tmp_path / "look.png").stat().st_size > 5000


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_is_json_on_request(run, name):
    result = run(name, *LOOKS[name][0], "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines
    assert all(line["schema"] == 1 for line in lines)


def test_the_sum_of_the_memory_is_the_value(run):
    line = json.loads(run("memory", "--json").stdout)
    total = np.sum(line["parts"]) + line["start"] + line["bias"] + line["residual"]
    assert line["value"] == pytest.approx(total)
    assert abs(line["residual"]) < 1e-5


@pytest.mark.parametrize("name", HF)
def test_how_far_the_shown_reading_lies_from_the_model_s_own_is_said(name, run, monkeypatch):
    assert float(run(name).output.split("at most ")[1].split()[0]) < 1e-4
    read_inner = cli.inside.read_inner

    def read_other_logits(*asked):
        reading = read_inner(*asked)
        inner = {key: 0.25 if key.endswith("difference") else array for key, array in reading.inner.items()}
        return replace(reading, inner=inner)

    monkeypatch.setattr(cli.inside, "read_inner", read_other_logits)
    assert run(name).output.endswith(" lie at most 2.5e-01 from the model's own\n")


def test_a_model_without_the_look_says_what_it_has(run):
    assert isinstance(run("gates", "hf").exception, MinilmError)
    assert "shows no gates; it shows hidden, attention" in str(run("gates", "hf").exception)
    refused = str(run("gates", "--layer", "7").exception)
    assert refused == "Layers are numbered 0 to 1, got 7"
    assert "has no token" in str(run("units", "--token", "").exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["neighbours", "--count", "0"], "must be 1 or more, got 0"),
        (["neighbours", "--count", "-3"], "must be 1 or more, got -3"),
        (["neighbours", "--token", "#" + "9" * 5000], "A whole number is expected here, got '999"),
        (["units", "--rather-than", "#128"], "Id 128 is not in the vocabulary of 128"),
        (["gates", "--plot", ""], "a picture is saved as .png or .svg"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(run, options, said):
    refused = run(*options).exception
    assert isinstance(refused, MinilmError)
    assert said in str(refused)
    assert len(str(refused)) < 200
