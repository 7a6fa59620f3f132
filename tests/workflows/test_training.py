"""minilm.Training: iterate to train, stop and go on, open the result, step through it."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import minilm
from minilm.errors import MinilmError
from minilm.records import Gradients
from minilm.training.checkpoint import newest
from minilm.training.fit import Schedule

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


def test_minutes_end_at_the_clock_though_the_machine_gets_slower(text, tmp_path, monkeypatch):
    """The first steps take no time, so the estimate is much too high; then each takes 50 ms."""
    training = minilm.Training(text, out=tmp_path / "run", minutes=0.05, **SMALL)
    training.begin()
    update = training.model.update

    def slow(*arguments):
        time.sleep(0.05)
        return update(*arguments)

    monkeypatch.setattr(training.model, "update", slow)
    began = time.monotonic()
    steps = list(training)
    assert time.monotonic() - began < 4.5
    assert steps[-1].validation is not None
    saved = newest(tmp_path / "run" / "checkpoints")
    assert saved.run["steps"] == saved.step == len(steps) < training.prepared.settings.steps
    schedule = Schedule(saved.run["rate"], saved.step, parts=tuple(saved.run["parts"]))
    assert [step.rate for step in steps] == [schedule.at(step) for step in range(len(steps))]


def test_a_training_by_the_clock_is_resumed_with_the_time_that_is_left(text, tmp_path):
    training = minilm.Training(text, out=tmp_path / "run", minutes=0.05, **SMALL)
    last = next(step for step in training if training.settings.spent > 1.5)
    training.save()
    resumed = minilm.Training(out=tmp_path / "run", resume=True)
    first, *rest = list(resumed)
    assert first.index == last.index + 1
    assert first.rate <= last.rate
    assert resumed.settings.spent == pytest.approx(3, abs=0.8)
    assert list(minilm.Training(out=tmp_path / "run", resume=True)) == []
    more = list(minilm.Training(out=tmp_path / "run", resume=True, steps=rest[-1].index + 2))
    assert len(more) == 2


def test_the_debugger_foresees_the_rates_of_a_training_by_the_clock(text):
    place = minilm.Training(text, minutes=0.01, **SMALL).timeline()
    rates = [place.plan.rate(step) for step in range(place.last)]
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0.02 * max(rates))


@pytest.fixture
def half(text, tmp_path):
    """The folder of a training that was stopped after half of its steps, and its first steps."""
    training = minilm.Training(text, out=tmp_path / "run", steps=8, rate=0.01, **SMALL)
    for step in training:
        if step.index == 4:
            training.save()
            break
    return tmp_path / "run"


def test_a_resumed_training_takes_another_rate_and_clip(half):
    resumed = minilm.Training(out=half, resume=True, rate=0.001, clip=0.25)
    assert [step.rate for step in resumed] == [Schedule(0.001, 8).at(step) for step in range(4, 8)]
    assert newest(half / "checkpoints").run["clip"] == 0.25
    again = minilm.Training(out=half, resume=True, steps=9)
    assert (again.settings.rate, again.settings.clip) == (0.001, 0.25)


def test_a_text_that_has_moved_is_named_in_a_resumed_training(half, text, tmp_path):
    moved = text.rename(tmp_path / "moved.txt")
    with pytest.raises(MinilmError, match="where it has moved, say so with --text"):
        minilm.Training(out=half, resume=True).begin()
    assert len(list(minilm.Training(moved, out=half, resume=True))) == 4
    (tmp_path / "other.txt").write_text("quite another text, " * 99)
    with pytest.raises(MinilmError, match="has changed since"):
        minilm.Training(tmp_path / "other.txt", out=half, resume=True, steps=9).begin()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": 99}, "--hidden cannot change in a resumed training: it has 8, got 99; leave it out"),
        ({"layers": 2}, "--layers cannot change in a resumed training: it has 1, got 2"),
        ({"vocab_size": 400}, "--vocab-size cannot change in a resumed training: it has 300, got 400"),
        ({"seed": 3}, "--seed cannot change in a resumed training: it has 0, got 3"),
        ({"dtype": "float64"}, "--dtype cannot change in a resumed training: it has float32, got float64"),
        ({"tokenizer": "x.model"}, "--tokenizer cannot change in a resumed training"),
    ],
)
def test_what_a_resumed_training_cannot_change_is_refused_by_name(half, options, said):
    with pytest.raises(MinilmError, match=said):
        minilm.Training(out=half, resume=True, **options).begin()


def test_a_training_that_diverged_goes_on_with_the_advice_that_it_gave(half, monkeypatch):
    diverging = minilm.Training(out=half, resume=True)
    diverging.begin()
    monkeypatch.setattr(
        diverging.model, "gradients", lambda *_: Gradients(float("nan"), np.array([[np.nan]]), {})
    )
    with pytest.raises(MinilmError, match="lower the rate or the clip, then resume"):
        list(diverging)
    assert len(list(minilm.Training(out=half, resume=True, rate=0.001))) == 4


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
    from minilm.training.checkpoint import save_checkpoint

    training = minilm.Training(text, steps=2, **SMALL)
    kept = {name: value for name, value in training.prepared.settings.to_json().items() if name != "rate"}
    save_checkpoint(tmp_path / "run" / "checkpoints", training.model, 0, 0, kept, training.codec.model_bytes)
    with pytest.raises(MinilmError, match="does not say the rate"):
        list(minilm.Training(out=tmp_path / "run", resume=True))
