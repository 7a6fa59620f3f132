"""`minilm demo`, small: every chapter, a folder that is whole or not there, and models that open again."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

import tokenizer
from minilm import backends
from minilm.cli import command as minilm
from minilm.errors import MinilmError
from minilm.training.storyland.entropy import Floor
from minilm.training.storyland.stories import stories
from minilm.workflows import demo
from minilm.workflows.demo import Trained


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A demo in NumPy, and in Hugging Face where it is installed, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minilm.workflows.demo.backends.available", lambda: ["numpy"])
    monkeypatch.setattr("minilm.workflows.demo.COMMON_STEPS", 3)
    monkeypatch.setattr("minilm.workflows.demo.GPT2_STEPS", 3)
    return tmp_path


def measured(folder, held_out):
    """Nats per token of a saved model on stories of the held-out seed, each of which is read whole."""
    model, codec = backends.load(folder, "numpy"), tokenizer.load(folder / "tokenizer.model")
    nats = []
    for told in stories(-1, held_out):
        ids = np.array([*codec.encode(told.text, special=True), codec.special_ids["eos"]])
        logits = model.read(ids[:-1], rows="all").logits.astype(np.float64)
        nats += (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids) - 1), ids[1:]]).tolist()
    return np.mean(nats)


def sampled(folder, count):
    """The floor as the nats that stories have cost over their tokens, and three standard errors of it."""
    codec = tokenizer.load(folder / "tokenizer.model")
    told = list(stories(7, count))
    nats, tokens = np.array([(story.nats, len(codec.encode(story.text)) + 1) for story in told]).T
    share = nats.sum() / tokens.sum()
    return share, 3 * np.std(nats - share * tokens) / np.sqrt(count) / tokens.mean()


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
    said = re.search(r"validation ([\d.]+) nats per token, ([\d.]+) above the floor: (.*)", done.output)
    least, error = sampled(made / "lstm", 2000)
    loss = measured(made / "lstm", 200)
    assert float(said[1]) == pytest.approx(loss, abs=6e-4)
    assert error < 0.01
    assert float(said[2]) == pytest.approx(loss - least, abs=error + 6e-4)
    assert said[3] == "the bar of 0.15 is missed; give more --steps"  # after 20 steps
    assert said[0] in (made / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        (1.149, "0.149 above the floor: within the bar of 0.15"),
        (1.151, "0.151 above the floor: the bar of 0.15 is missed; give more --steps"),
        (float("nan"), "nan above the floor: the bar of 0.15 is missed; give more --steps"),
    ],
)
def test_the_demo_says_whether_its_bar_is_met(validation, said):
    perfect = Floor(nats=200.0, tokens=200.0, characters=800.0)
    assert Trained((), validation).describe(perfect).endswith(said)


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
