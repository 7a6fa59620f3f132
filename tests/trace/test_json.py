"""One rule turns every record into JSON."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from minilm import doctor
from minilm.doctor import records
from minilm.trace.json import as_json, dumps

EXHIBITS = sorted((Path(doctor.__file__).parent / "exhibits").glob("*.jsonl"))


@dataclass(frozen=True)
class Outer:
    raw: bytes
    inner: tuple
    table: dict


def test_records_arrays_bytes_and_numbers_that_json_cannot_spell():
    record = Outer(b"\xe2\x00", (np.array([1.0, -np.inf]), float("nan")), {3: Outer(b"", (), {})})
    inner = {"raw": "", "inner": [], "table": {}}
    assert as_json(record) == {"raw": "e200", "inner": [[1.0, None], None], "table": {"3": inner}}
    assert dumps(as_json(record)).startswith('{"schema": 1, "raw": "e200"')


def test_another_spelling_of_floats_reaches_every_float_and_nothing_else():
    record = Outer(b"", (np.array([0.123456]), 7, True, "x"), {"a": 1 / 3})
    assert as_json(record, lambda x: f"{x:.2f}") == {
        "raw": "",
        "inner": [["0.12"], 7, True, "x"],
        "table": {"a": "0.33"},
    }


@pytest.mark.parametrize("path", EXHIBITS[:4], ids=lambda path: path.stem)
def test_a_recorded_training_is_written_with_the_digits_that_it_was_read_with(path, tmp_path):
    """The files are older than some fields, so only the fields that they have are compared."""
    records.save_run(records.load_run(path), tmp_path / "again.jsonl")
    pairs = zip(
        *(file.read_text("utf-8").splitlines() for file in (tmp_path / "again.jsonl", path)), strict=True
    )
    for again, line in ((json.loads(a), json.loads(b)) for a, b in pairs):
        ((kind, old),) = [(name, value) for name, value in line.items() if name != "schema"]
        assert {name: again[kind][name] for name in old if name != "look"} == {
            name: value for name, value in old.items() if name != "look"
        }
