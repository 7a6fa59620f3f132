"""minilm.Training: iterate to train, stop and go on, open the result, step through it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import minilm
from minilm.errors import MinilmError
from minilm.training.checkpoint import newest

SMALL = {"backend": "numpy", "hidden": 8, "embedding": 6, "vocab_size": 300, "batch": 2}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat, and the dog sat by the cat.\n" * 60)
    return path


def test_building_a_training_reads_and_writes_nothing(tmp_path):
    minilm.Training(tmp_path / "no such file", out=tmp_path / "out", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_iterating_again_goes_on_where_the_last_iteration_stopped(text):
    whole = list(minilm.Training(text, steps=9, **SMALL))
    training, parts = minilm.Training(text, steps=9, **SMALL), []
    for stop in (2, 3, 9):
        for step in training:
            parts.append(step)
            if step.index == stop:
                break
    assert [step.loss for step in parts] == [step.loss for step in whole]
    assert [step.tokens for step in parts] == [step.tokens for step in whole]
    assert list(training) == []


def test_nothing_is_written_without_out(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    list(minilm.Training(text, steps=2, **SMALL))
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_the_written_model_is_the_one_that_was_trained(text, tmp_path):
    training = minilm.Training([text], out=tmp_path / "run", steps=3, **SMALL)
    assert [step.index for step in training] == [1, 2, 3]
    written, here = minilm.open(tmp_path / "run"), training.open()
    for name, array in here.model.weights().items():
        np.testing.assert_array_equal(written.model.weights()[name], array)
    assert written.text("the", seed=1, max_tokens=5) == here.text("the", seed=1, max_tokens=5)


def test_a_training_that_was_stopped_is_resumed_from_its_folder(text, tmp_path):
    whole = list(minilm.Training(text, steps=6, **SMALL))
    training = minilm.Training(text, out=tmp_path / "run", steps=6, **SMALL)
    for step in training:
        if step.index == 4:
            training.save()
            break
    assert newest(tmp_path / "run" / "checkpoints").step == 4
    resumed = minilm.Training(out=tmp_path / "run", resume=True)
    assert [step.loss for step in resumed] == [step.loss for step in whole[4:]]
    assert (tmp_path / "run" / "model").is_dir()


def test_a_second_training_in_a_folder_is_refused_while_the_first_runs(text, tmp_path):
    first = minilm.Training(text, out=tmp_path / "run", steps=4, **SMALL)
    steps = iter(first)
    next(steps)
    with pytest.raises(MinilmError, match="Another training is running in"):
        minilm.Training(text, out=tmp_path / "run", steps=4, **SMALL).begin()
    first.save()
    with pytest.raises(MinilmError, match="Another training is running"):
        next(iter(minilm.Training(out=tmp_path / "run", resume=True)))
    assert [step.index for step in steps] == [2, 3, 4]
    assert list(minilm.Training(out=tmp_path / "run", resume=True, steps=5))


def test_the_lock_of_a_killed_training_blocks_nobody(text, tmp_path):
    out = tmp_path / "run"
    code = f"""
import os, minilm
training = minilm.Training({str(text)!r}, out={str(out)!r}, steps=9, **{SMALL})
training.begin()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert [path.name for path in out.iterdir()] == [".lock"]
    assert len(list(minilm.Training(text, out=out, steps=2, **SMALL))) == 2


def test_what_cannot_be_prepared_leaves_no_folder(tmp_path):
    with pytest.raises(MinilmError, match="does not exist"):
        minilm.Training(tmp_path / "none", out=tmp_path / "run", **SMALL).begin()
    assert list(tmp_path.iterdir()) == []


def test_a_validation_that_is_stopped_is_left_out_and_the_step_is_kept(text, monkeypatch):
    training, asked = minilm.Training(text, steps=1, **SMALL), []
    prepared = training.prepared
    training.prepared = replace(prepared, held_out=prepared.held_out * 3)
    losses = prepared.model.losses

    def stop_in_the_first_batch(*arrays):
        asked.append(training.stop())
        return losses(*arrays)

    monkeypatch.setattr(prepared.model, "losses", stop_in_the_first_batch)
    (step,) = list(training)
    assert (step.validation, len(asked)) == (None, 1)


def test_a_finished_model_stays_until_the_new_one_is_whole(text, tmp_path, monkeypatch):
    list(minilm.Training(text, out=tmp_path / "run", steps=2, **SMALL))
    before = minilm.open(tmp_path / "run").model.weights()

    def refuse(*_, **__):
        raise MinilmError("no space is left")

    monkeypatch.setattr("minilm.workflows.train.write_model", refuse)
    with pytest.raises(MinilmError, match="no space"):
        list(minilm.Training(out=tmp_path / "run", resume=True, steps=4))
    after = minilm.open(tmp_path / "run").model.weights()
    np.testing.assert_array_equal(after["embedding"], before["embedding"])


def test_a_timeline_steps_through_the_training_from_here(text):
    whole = list(minilm.Training(text, steps=6, **SMALL))
    training = minilm.Training(text, steps=6, **SMALL)
    for step in training:
        if step.index == 2:
            break
    place = training.timeline()
    assert (place.first, place.last) == (2, 6)
    assert place.next().next().step.loss == whole[3].loss


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": 2, "minutes": 1}, "Give --steps or --minutes, not both"),
        ({"minutes": float("inf")}, "--minutes must be above 0, got inf"),
        ({"resume": True}, "resume goes on from the checkpoints of a folder"),
        ({"out": "."}, "exists already"),
    ],
)
def test_what_cannot_be_trained_is_named_when_it_is_asked_for(options, named):
    with pytest.raises(MinilmError, match=named):
        minilm.Training(**options)


def test_settings_that_lack_one_are_named(text, tmp_path):
    from minilm.training.checkpoint import save

    training = minilm.Training(text, steps=2, **SMALL)
    kept = {name: value for name, value in training.prepared.settings.to_json().items() if name != "rate"}
    save(tmp_path / "run" / "checkpoints", training.model, 0, 0, kept, training.codec.model_bytes)
    with pytest.raises(MinilmError, match="does not say the rate"):
        list(minilm.Training(out=tmp_path / "run", resume=True))
