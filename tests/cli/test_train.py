"""minilm train, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from minilm.cli.train import command
from minilm.errors import MinilmError
from minilm.storage.model_folder import read_model
from minilm.training.checkpoint import newest

TEXT = "the cat sat on the mat, and the dog sat by the cat.\n" * 60
SMALL = ["--hidden", "8", "--embedding", "6", "--vocab-size", "300", "--backend", "numpy", "--batch", "2"]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return ["--text", str(tmp_path / "text.txt")]


def run(*arguments: object, code: int = 0):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if isinstance(result.exception, MinilmError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_a_run_leaves_a_model_and_says_how_to_open_it(tmp_path, text):
    result = run(*text, "--out", tmp_path / "o u t", "--steps", 6, *SMALL, "--vocab-size", 5000)
    assert f"open it: minilm generate --model '{tmp_path}/o u t/model'" in result.stderr
    assert "nats per token" in result.stdout
    assert "lowered" in result.stderr
    assert read_model(tmp_path / "o u t" / "model").config.hidden_size == 8


def test_a_run_in_two_parts_equals_a_run_in_one(tmp_path, text):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(*text, "--out", whole, "--steps", 8, *SMALL)
    run(*text, "--out", parts, "--steps", 8, *SMALL)
    for path in (parts / "checkpoints").iterdir():
        assert path.name == "step-00000008"
    longer = [tmp_path / "a", tmp_path / "b"]
    for place in longer:
        run(*text, "--out", place, "--steps", 8, *SMALL)
        run("--out", place, "--resume", "--steps", 12)
    first, second = (newest(place / "checkpoints") for place in longer)
    assert first.step == second.step == 12
    for name, array in first.arrays.items():
        assert np.array_equal(second.arrays[name], array)


def test_json_gives_a_line_for_every_step(tmp_path, text):
    result = run(*text, "--out", tmp_path / "out", "--steps", 4, "--json", *SMALL)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["train"]["index"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.slow
def test_stories_are_the_text_where_none_is_given_and_their_floor_is_named(tmp_path):
    result = run("--out", tmp_path / "out", "--steps", 1, "--hidden", 4, "--backend", "numpy")
    assert "Storyland's entropy, the floor: 0.6" in result.stderr


def test_what_is_there_is_never_overwritten(tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dear")
    with pytest.raises(MinilmError, match="exists already"):
        run(*text, "--out", tmp_path / "out", "--steps", 1)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "dear"


def test_text_takes_several_files_after_one_flag(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(TEXT)
    files = [tmp_path / f"{name}.txt" for name in "abc"]
    run("--text", *files, "--out", tmp_path / "out", "--steps", 1, *SMALL)
    assert newest(tmp_path / "out" / "checkpoints").run["text"] == [str(file.resolve()) for file in files]


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(tmp_path, text, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10_000))
    with pytest.raises(MinilmError, match=r"has 0\.0 MB free and the training needs"):
        run(*text, "--out", tmp_path / "out", "--steps", 1, *SMALL)
    assert not (tmp_path / "out").exists()


def test_an_out_that_cannot_be_made_is_refused_before_the_first_step(tmp_path, text):
    with pytest.raises(MinilmError, match="cannot be written: Not a directory"):
        run(*text, "--out", tmp_path / "text.txt" / "out", "--steps", 1, *SMALL)


def test_a_text_that_changed_is_not_resumed_on(tmp_path, text):
    run(*text, "--out", tmp_path / "out", "--steps", 2, *SMALL)
    (tmp_path / "text.txt").write_text(TEXT + "more")
    with pytest.raises(MinilmError, match="has changed"):
        run("--out", tmp_path / "out", "--resume", "--steps", 4)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--steps", "3", "--minutes", "1"], "not both"),
        (["--minutes", "-1"], "above 0"),
        (["--minutes", "nan"], "above 0"),
        (["--resume"], "no checkpoint"),
        (["--rate", "0"], "--rate must be a number above 0, got 0.0"),
        (["--rate", "-1"], "--rate must be a number above 0, got -1.0"),
        (["--clip", "inf"], r"--clip must be 0 \(none\) or a number above 0, got inf"),
        (["--layers", "4"], "--layers goes from 1 to 3, got 4"),
        (["--batch", "10000000000"], "--batch goes from 1 to 65536 rows, got 10000000000"),
        (["--text", "/nowhere.txt"], "does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing_behind(tmp_path, arguments, part):
    with pytest.raises(MinilmError, match=part) as refused:
        run("--out", tmp_path / "out", *arguments)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_within_two_seconds_and_says_how_to_go_on(tmp_path, text, signum):
    out = tmp_path / "out"
    arguments = [*text, "--out", str(out), "--steps", "100000", "--json", *SMALL]
    child = subprocess.Popen(
        [sys.executable, "-m", "minilm", "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout
    assert child.stderr
    child.stdout.readline()
    began = time.monotonic()
    child.send_signal(signum)
    _, errors = child.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert child.returncode == 128 + signum
    assert b"--resume" in errors
    assert newest(out / "checkpoints").step > 0


SLOW_VALIDATION = """
import sys, time
from minilm.training import fit
def evaluate(model, batches):
    print("validating", flush=True)
    for batch in batches:
        time.sleep(0.2)
    time.sleep(60 if {deaf} else 0)
fit.evaluate = evaluate
from minilm.__main__ import main
sys.argv[0] = "minilm"
main()
"""


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_in_a_long_validation_saves_within_two_seconds(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT * 200)
    out = tmp_path / "out"
    options = ["--text", tmp_path / "text.txt", "--out", out, "--steps", 5, *SMALL]
    child = start(SLOW_VALIDATION.format(deaf=False), "train", *options)
    assert child.stdout.readline() == b"validating\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert child.returncode == 130
    assert b"--resume" in errors
    assert newest(out / "checkpoints").step == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_second_ctrl_c_ends_at_once(tmp_path, text):
    options = [*text, "--out", tmp_path / "out", "--steps", 5, *SMALL]
    child = start(SLOW_VALIDATION.format(deaf=True), "train", *options)
    assert child.stdout.readline() == b"validating\n"
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=1)
    assert child.returncode == -signal.SIGINT


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_while_the_command_is_loaded_is_one_line():
    """The name click stands for anything that is loaded first."""
    code = (
        "import os, signal, sys, builtins; real = builtins.__import__\n"
        "def load(name, *rest):\n"
        "    if name == 'click': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "from minilm.__main__ import main\n"
        "builtins.__import__ = load\n"
        "main()"
    )
    child = start(code, "stages")
    output, errors = child.communicate(timeout=20)
    assert (child.returncode, output, errors) == (130, b"", b"minilm: stopped\n")
