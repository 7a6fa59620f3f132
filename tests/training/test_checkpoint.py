"""Checkpoints: whole or absent, resumed bit for bit, and never silently wrong."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from minilm import backends
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.storage import model_folder
from minilm.training import checkpoint
from minilm.training.batches import Batches
from minilm.training.checkpoint import newest, save_checkpoint
from minilm.training.fit import Schedule, fit

CONFIG = ModelConfig(20, 5, 6, dropout=0.3, seed=1)
BATCHES = Batches([np.random.default_rng(n).integers(4, 20, 40) for n in range(5)], 3, 8)
SCHEDULE = Schedule(1e-2, 10, warm_up=3)


def trained(steps: int, name: str = "numpy"):
    model = backends.create(name, CONFIG)
    for _, step in zip(range(steps), fit(model, BATCHES, SCHEDULE), strict=False):
        last = step
    return model, last


@pytest.mark.parametrize("backend", backends.available())
@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, backend, cut):
    whole = backends.create(backend, CONFIG)
    losses = [step.loss for step in fit(whole, BATCHES, SCHEDULE)]
    model, last = trained(cut, backend)
    save_checkpoint(tmp_path, model, last.index, last.tokens, {"seed": 0}, b"a tokenizer")
    found = newest(tmp_path)
    assert (found.step, found.tokens, dict(found.run)) == (cut, last.tokens, {"seed": 0})
    assert found.tokenizer_bytes == b"a tokenizer"
    again = backends.create(backend, found.config)
    again.restore(found.arrays)
    rest = [step.loss for step in fit(again, BATCHES, SCHEDULE, start=found.step, tokens=found.tokens)]
    assert rest == losses[cut:]
    for name, array in whole.snapshot().items():
        assert np.array_equal(again.snapshot()[name], array), name


def test_a_damaged_checkpoint_is_passed_over_for_the_last_good_one_and_named(tmp_path):
    model, _ = trained(2)
    save_checkpoint(tmp_path, model, 2, 48, {})
    save_checkpoint(tmp_path, model, 3, 72, {})
    for name in ("model.safetensors", "optimizer.safetensors", "config.json"):
        path = tmp_path / "step-00000003" / name
        data = path.read_bytes()
        for place in range(0, len(data), max(len(data) // 25, 1)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            found = newest(tmp_path)
            assert found.step == 2
            assert "step-00000003" in found.skipped[0]
        path.write_bytes(data)
    assert newest(tmp_path).step == 3


def test_a_run_that_passed_over_a_damaged_checkpoint_keeps_two_good_ones_and_writes_it_anew(tmp_path):
    model, _ = trained(1)
    save_checkpoint(tmp_path, model, 1, 1, {})
    save_checkpoint(tmp_path, model, 4, 4, {})
    (tmp_path / "step-00000004" / "config.json").write_text("{")
    assert newest(tmp_path).step == 1
    for step in (2, 3):
        save_checkpoint(tmp_path, model, step, step, {})
    names = [f"step-0000000{step}" for step in (2, 3, 4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    save_checkpoint(tmp_path, model, 4, 4, {})
    found = newest(tmp_path)
    assert (found.step, found.skipped) == (4, ())


def test_only_the_newest_two_stay_and_the_next_save_removes_left_overs(tmp_path):
    model, _ = trained(1)
    for step in range(1, 5):
        save_checkpoint(tmp_path, model, step, step, {})
    (tmp_path / ".step-00000009.123.partial").mkdir()
    save_checkpoint(tmp_path, model, 5, 5, {})
    assert newest(tmp_path).step == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000004", "step-00000005"]


def test_a_reader_leaves_the_parts_of_a_save_alone(tmp_path, monkeypatch):
    """A second process reads while a save has written half of its files."""
    model, _ = trained(1)
    save_checkpoint(tmp_path, model, 1, 1, {})
    real = Path.write_bytes

    def read_before(path, data):
        assert newest(tmp_path).step == 1
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", read_before)
    save_checkpoint(tmp_path, model, 2, 2, {})
    monkeypatch.undo()
    assert (newest(tmp_path).step, newest(tmp_path).skipped) == (2, ())


def test_a_reader_finds_the_newest_though_saves_remove_what_it_listed(tmp_path, monkeypatch):
    model, _ = trained(1)
    for step in (1, 2):
        save_checkpoint(tmp_path, model, step, step, {})
    listed = checkpoint._by_step(tmp_path)
    for step in (3, 4):
        save_checkpoint(tmp_path, model, step, step, {})
    real, old = checkpoint._by_step, [listed]
    monkeypatch.setattr(checkpoint, "_by_step", lambda folder: old.pop() if old else real(folder))
    found = newest(tmp_path)
    assert (found.step, found.skipped) == (4, ())


def test_a_folder_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(MinilmError, match="no checkpoint to go on from"):
        newest(tmp_path)


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    """Every system call of a save fails once; the run always goes on from a whole checkpoint."""
    model, _ = trained(1)
    save_checkpoint(tmp_path, model, 1, 1, {})
    for name in ("fsync", "rename", "open", "close"):
        for nth in range(12):
            calls = iter(range(1000))
            real = getattr(os, name)

            def failing(*arguments, real=real, calls=calls, nth=nth, **named):
                if next(calls) == nth:
                    raise OSError(28, "No space left on device")
                return real(*arguments, **named)

            with monkeypatch.context() as patched:
                patched.setattr(model_folder.os, name, failing)
                with suppress(MinilmError):
                    save_checkpoint(tmp_path, model, 2, 2, {})
            found = newest(tmp_path)
            assert (found.step, found.skipped) == (found.tokens, ())
            assert not list(tmp_path.glob(".*"))
            if found.step == 2:
                for path in sorted((tmp_path / "step-00000002").iterdir()):
                    path.unlink()
                (tmp_path / "step-00000002").rmdir()
