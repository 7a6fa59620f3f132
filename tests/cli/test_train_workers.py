"""minilm train as one of several workers, as far as one process can show it."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from minilm.backends.processes import LostWorkerError
from minilm.cli.train import command
from minilm.errors import MinilmError
from minilm.training import fit
from minilm.training.checkpoint import newest
from minilm.workflows.prepare import _agreed
from minilm.workflows.train import Training
from minilm.workflows.workers import agree

SMALL = ["--hidden", "8", "--embedding", "6", "--vocab-size", "300", "--batch", "2", "--json"]


@pytest.fixture
def train(tmp_path):
    """Train to a folder of this name with these options; answers with the losses and the exception."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat, and the dog sat by the cat.\n" * 60)

    def run(name, *options):
        result = CliRunner().invoke(command, ["--out", str(tmp_path / name), *options, "--json"])
        lines = [json.loads(line)["train"] for line in result.stdout.splitlines()]
        return [line["loss"] for line in lines], result.exception

    fresh = ["--text", str(tmp_path / "text.txt"), *SMALL, "--steps", "20"]
    return lambda name, *options: run(name, *(options or (*fresh, "--backend", "numpy")))


def lost(*_, **__):
    raise LostWorkerError("Another worker is gone (as planned)")


def lost_after(calls):
    """An evaluate that loses another worker after so many calls."""
    real, count = fit.evaluate, iter(range(calls))

    def evaluate(model, batches):
        if next(count, None) is None:
            lost()
        return real(model, batches)

    return evaluate


def test_a_worker_lost_in_a_validation_costs_no_step(train, tmp_path, monkeypatch):
    """The validation after step 6 fails, when the update of step 6 is made and its record is not."""
    losses, _ = train("whole")
    with monkeypatch.context() as patched:
        patched.setattr(fit, "evaluate", lost_after(2))
        seen, error = train("parts")
    assert isinstance(error, LostWorkerError)
    assert seen == losses[:5]
    assert newest(tmp_path / "parts" / "checkpoints").step == 6
    rest, error = train("parts", "--resume")
    assert error is None
    assert rest == losses[6:]
    whole, parts = (newest(tmp_path / name / "checkpoints") for name in ("whole", "parts"))
    assert whole.tokens == parts.tokens


def test_a_worker_lost_before_the_first_step_leaves_no_folder(train, tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "one_step", lost)
    _, error = train("out")
    assert isinstance(error, LostWorkerError)
    assert not (tmp_path / "out").exists()


def test_a_backend_of_one_process_is_refused_in_one_line(train, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    _, error = train("out")
    assert isinstance(error, MinilmError)
    assert str(error).startswith("Backend numpy trains in one process, got 2; give --backend torch")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def prepared(tmp_path):
    """What a training of a text and options prepares, in one process."""

    def prepare(text: str, **options):
        path = tmp_path / "text.txt"
        path.write_text(text * 60)
        usual = {"embedding": 6, "hidden": 8, "layers": 1, "dropout": 0.0, "batch": 2, "length": 8}
        rest = {"rate": 0.01, "clip": 1.0, "seed": 0, "dtype": "float64", "steps": 20, "vocab_size": 300}
        told = {"text": path, "backend": "numpy"}
        return Training(**(usual | rest | told | options)).prepared

    return prepare


def test_workers_go_on_only_where_all_have_the_same_run(prepared, monkeypatch):
    """Each worker compares 63 bits of its text, settings, tokenizer and weights with the others'."""
    distributed = pytest.importorskip("minilm.backends.torch.distributed")
    text, compared = "the cat sat on the mat.\n", []
    runs = [
        prepared(text),
        prepared(text),
        prepared(text.replace("cat", "cow")),
        prepared(text, rate=0.02),
        prepared(text, seed=1),
    ]
    runs += [replace(runs[0], start=1), prepared(text)]
    runs[-1].model.restore({name: array * 2 for name, array in runs[0].model.weights().items()})
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "from_first", lambda steps, _: steps + 5)
    monkeypatch.setattr(distributed, "all_equal", lambda number, _: compared.append(number) or True)
    assert [_agreed(run).settings.steps for run in runs] == [25] * 7
    assert compared[0] == compared[1]
    assert len(set(compared)) == 6
    assert all(0 <= number < 2**63 for number in compared)
    monkeypatch.setattr(distributed, "all_equal", lambda *_: False)
    with pytest.raises(MinilmError, match="different texts, settings or checkpoints"):
        _agreed(runs[0])


def test_workers_with_different_tokenizers_are_told_from_each_other(prepared, monkeypatch):
    distributed = pytest.importorskip("minilm.backends.torch.distributed")
    compared, model = [], prepared("the cat sat on the mat.\n").model
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "from_first", lambda steps, _: steps)
    monkeypatch.setattr(distributed, "all_equal", lambda number, _: compared.append(number) or True)
    for tokenizer_bytes in (b"one", b"one", b"two"):
        assert agree(model, tokenizer_bytes, 20, {}) == 20
    assert compared[0] == compared[1] != compared[2]
