"""`minilm demo`, small: every chapter, a folder that is whole or not there, and models that open again."""

from functools import partial

import pytest
from click.testing import CliRunner

from minilm.cli import command as minilm
from minilm.cli import demo
from minilm.cli.demo_run import train_gpt2
from minilm.errors import MinilmError


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A demo in NumPy, and in Hugging Face where it is installed, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minilm.cli.demo_run.backends.available", lambda: ["numpy"])
    monkeypatch.setattr("minilm.cli.demo_run.COMMON_STEPS", 3)
    monkeypatch.setattr(demo, "train_gpt2", partial(train_gpt2, steps=3))
    return tmp_path


@pytest.mark.slow
def test_the_demo_leaves_models_traces_pictures_and_a_report(small):
    done = CliRunner().invoke(minilm, ["demo", "--steps", "20"])
    assert done.exit_code == 0, f"{done.output}{done.exception!r}"
    assert [f"[{n}/6]" in done.output for n in range(1, 7)] == [True] * 6
    made = small / "demo"
    for name in ("report.html", "stories.txt", "trace-numpy.jsonl", "pictures/01.png", "pictures/01.svg"):
        assert (made / name).stat().st_size > 100, name
    words = ["generate", "--model", str(made / "lstm"), "--max-tokens", "1"]
    assert CliRunner().invoke(minilm, words).exit_code == 0
    assert CliRunner().invoke(minilm, ["trace", "check", str(made / "trace-numpy.jsonl")]).exit_code == 0


def test_a_demo_that_fails_leaves_nothing(small, monkeypatch):
    def fail(*_):
        raise MinilmError("no text")

    monkeypatch.setattr(demo, "write_text", fail)
    assert isinstance(CliRunner().invoke(minilm, ["demo", "--out", "mine"]).exception, MinilmError)
    assert list(small.iterdir()) == []


def test_a_folder_that_exists_is_refused_and_stays(small):
    (small / "mine").mkdir()
    failed = CliRunner().invoke(minilm, ["demo", "--out", "mine"])
    assert "--out mine exists already" in str(failed.exception)
    assert [path.name for path in small.iterdir()] == ["mine"]
