"""The logits of a run: a NumPy file at every moment, whole rows after a crash, and named errors."""

import contextlib

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.trace.logits import LogitsWriter, read_logits

ROWS = np.random.default_rng(0).normal(size=(12, 7)).astype(np.float32)


def written(path, rows=ROWS):
    with path.open("wb") as file:
        writer = LogitsWriter(file, rows.shape[1])
        for row in rows:
            writer.row(row)
    return path


def test_the_file_is_what_numpy_loads_after_every_row(tmp_path):
    path = tmp_path / "run.npy"
    with path.open("wb") as file:
        writer = LogitsWriter(file, 7)
        for n in range(13):
            assert np.array_equal(np.load(path), ROWS[:n])
            if n < 12:
                writer.row(ROWS[n])


def test_minus_infinity_and_float64_become_float32(tmp_path):
    row = np.array([[1 / 3, -np.inf]])
    assert np.array_equal(np.load(written(tmp_path / "x.npy", row)), row.astype(np.float32))


def test_a_row_cut_short_by_a_crash_does_not_count(tmp_path):
    path = written(tmp_path / "run.npy")
    path.write_bytes(path.read_bytes() + b"half a row")
    assert np.array_equal(read_logits(path, 7, 12), ROWS)


def test_what_is_no_logits_file_of_the_trace_is_one_line(tmp_path):
    path = written(tmp_path / "run.npy")
    raw = path.read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes(raw[:-20])
    (tmp_path / "head.npy").write_bytes(raw[:30])
    (tmp_path / "foreign.npy").write_bytes(b"PK" + raw)
    np.save(tmp_path / "double.npy", ROWS.astype(np.float64))
    for name in ("objects", "cut", "head", "foreign", "double", "missing"):
        with pytest.raises(MinilmError, match=r"^Logits .*(damaged|another trace|cannot be read)[^\n]*$"):
            read_logits(tmp_path / f"{name}.npy", 7, 12)
    for size, steps in ((8, 12), (7, 13)):
        with pytest.raises(MinilmError, match="another trace"):
            read_logits(path, size, steps)


def test_300_damaged_logits_files_are_read_or_refused(tmp_path):
    dice = np.random.default_rng(1)
    path = tmp_path / "run.npy"
    raw = written(path).read_bytes()
    for _ in range(300):
        bad = bytearray(raw)
        bad[dice.integers(140)] = dice.integers(256)
        path.write_bytes(bad[: dice.integers(60, len(bad) + 1)])
        with contextlib.suppress(MinilmError):
            read_logits(path, 7, 12)
