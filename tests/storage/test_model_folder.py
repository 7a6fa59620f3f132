"""A model folder is there whole or not at all, and nothing damaged, foreign or hostile is opened."""

import json
import os
import pickle
import struct

import numpy as np
import pytest

from minilm import backends
from minilm.errors import MinilmError
from minilm.records import ModelConfig, OptimizerConfig
from minilm.storage import arrays as arrays_module
from minilm.storage import model_folder as folder_module
from minilm.storage.arrays import arrays_from_bytes, arrays_to_bytes
from minilm.storage.model_folder import read_model, write_model
from minilm.weights import initial_weights

CONFIG = ModelConfig(9, 3, 4, layers=2, dropout=0.1, seed=5, optimizer=OptimizerConfig(beta1=0.8))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "models" / "mine"
    write_model(place, CONFIG, initial_weights(CONFIG), b"a tokenizer", {"note": "hello"})
    return place


def test_a_folder_gives_back_what_was_written(folder):
    found = read_model(folder)
    assert (found.config, found.tokenizer_bytes, found.extra) == (CONFIG, b"a tokenizer", {"note": "hello"})
    for name, array in initial_weights(CONFIG).items():
        assert np.array_equal(found.arrays[name], array)
    names = ["config.json", "digests.json", "model.safetensors", "tokenizer.model"]
    assert sorted(os.listdir(folder)) == names
    assert os.listdir(folder.parent) == ["mine"]


def test_equal_models_are_equal_bytes(folder, tmp_path):
    write_model(tmp_path / "again", CONFIG, initial_weights(CONFIG), b"a tokenizer", {"note": "hello"})
    for name in os.listdir(folder):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow"])
def test_a_folder_opens_in_every_backend(folder, backend):
    pytest.importorskip(backend)
    model = backends.load(folder, backend)
    assert (model.name, model.dtype, model.config) == (backend, "float32", CONFIG)
    expected = backends.load(folder, dtype="float64").read([1, 2, 3]).logits
    np.testing.assert_allclose(model.read([1, 2, 3]).logits, expected, atol=1e-6)


def test_safetensors_opens_the_file_and_finds_one_metadata_key(folder):
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as file:
        assert list(file.metadata()) == ["minilm"]
        assert sorted(file.keys()) == sorted(initial_weights(CONFIG))


def test_an_existing_folder_is_refused_and_stays(folder):
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    with pytest.raises(MinilmError, match="exists already"):
        write_model(folder, CONFIG, initial_weights(CONFIG))
    assert before == {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fsync", full)
    with pytest.raises(MinilmError, match="cannot be written: No space left on device"):
        write_model(tmp_path / "mine", CONFIG, initial_weights(CONFIG))
    assert os.listdir(tmp_path) == []


def test_left_overs_of_a_killed_save_are_removed_by_the_next(tmp_path):
    (tmp_path / ".mine.123.partial").mkdir()
    (tmp_path / ".mine.123.partial" / "config.json").write_text("{")
    (tmp_path / ".yours.123.partial").mkdir()
    write_model(tmp_path / "mine", CONFIG, initial_weights(CONFIG))
    assert sorted(os.listdir(tmp_path)) == [".yours.123.partial", "mine"]


def test_every_flipped_bit_and_every_truncation_is_refused(folder):
    """1,200 damaged copies: no crash, none opened."""
    rng, refused = np.random.default_rng(0), 0
    for name in sorted(os.listdir(folder)):
        raw = (folder / name).read_bytes()
        for trial in range(300):
            damaged = bytearray(raw)
            if trial % 4:
                damaged[rng.integers(len(raw))] ^= 1 << rng.integers(8)
            else:
                del damaged[rng.integers(len(raw)) :]
            (folder / name).write_bytes(damaged)
            with pytest.raises(MinilmError) as caught:
                read_model(folder)
            assert "\n" not in str(caught.value)
            refused += 1
        (folder / name).write_bytes(raw)
    assert refused == 1200
    read_model(folder)


def test_every_flipped_bit_of_the_arrays_is_refused_by_their_own_digests():
    raw, rng = arrays_to_bytes(initial_weights(CONFIG)), np.random.default_rng(1)
    for _ in range(1000):
        damaged = bytearray(raw)
        damaged[rng.integers(len(raw))] ^= 1 << rng.integers(8)
        with pytest.raises(MinilmError):
            arrays_from_bytes(bytes(damaged))


def test_the_order_in_which_arrays_are_given_changes_no_byte_of_the_file():
    arrays = initial_weights(CONFIG)
    assert arrays_to_bytes(dict(reversed(arrays.items()))) == arrays_to_bytes(arrays)


def test_an_array_of_another_type_is_refused_when_it_is_written_and_when_it_is_read(monkeypatch):
    half = {"head.bias": np.zeros(9, np.float16)}
    with pytest.raises(MinilmError, match=r"head\.bias must be one of float32, float64, int64, got float16"):
        arrays_to_bytes(half)
    monkeypatch.setattr(arrays_module, "DTYPES", ("float16",))
    data = arrays_to_bytes(half)
    monkeypatch.undo()
    with pytest.raises(MinilmError, match=r"'head\.bias' is float16, not one of float32"):
        arrays_from_bytes(data)


def _redigest(folder, name, data):
    """Change a file together with its digest: what a hostile hand would do."""
    import hashlib

    (folder / name).write_bytes(data)
    digests = json.loads((folder / "digests.json").read_text())
    digests[name] = hashlib.sha256(data).hexdigest()
    (folder / "digests.json").write_text(json.dumps(digests))


class _Bomb:
    def __reduce__(self):
        return (os.abort, ())


def test_a_file_opens_whatever_the_first_byte_of_its_headers_length_is():
    """A header's length is a multiple of 8, so its lowest byte takes 32 values; 0x80 also begins a pickle."""
    opened = {}
    for size in range(1, 9 * 32):
        data = arrays_to_bytes({"x" * size: np.arange(3.0)})
        assert list(arrays_from_bytes(data)) == ["x" * size]
        opened[data[0]] = opened.get(data[0], 0) + 1
    assert set(opened) == set(range(0, 256, 8))


def test_a_header_whose_length_spells_the_start_of_a_zip_opens():
    target = int.from_bytes(b"PK", "little")
    short = len(arrays_to_bytes({"x": np.zeros(0)})) - 8
    # A name stands twice in the header, so each letter more lengthens it by two bytes.
    name = "x" * (1 + (target - short) // 2)
    data = arrays_to_bytes({name: np.zeros(0)})
    assert data[:8] == b"PK".ljust(8, b"\0")
    assert list(arrays_from_bytes(data)) == [name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(_Bomb()), "is a pickle"),
        (b"PK\x03\x04" + b"\0" * 40, "is a pickle"),
        (struct.pack("<Q", 2**62) + b"{}", "truncated or no safetensors"),
        (struct.pack("<Q", 1 << 21) + b"{" * (1 << 21), "the most"),
        (b"", "truncated"),
        (struct.pack("<Q", 2) + b"{}", "foreign or damaged"),
        (struct.pack("<Q", 4000) + b"[" * 4000, "foreign or damaged"),
    ],
)
def test_hostile_arrays_are_refused_without_running_anything(folder, data, message):
    _redigest(folder, "model.safetensors", data)
    with pytest.raises(MinilmError, match=message):
        read_model(folder)


def test_arrays_of_another_shape_and_numbers_that_are_not_finite_are_named(folder):
    arrays = initial_weights(CONFIG)
    wrong = arrays | {"head.bias": np.zeros(10, np.float32)}
    _redigest(folder, "model.safetensors", arrays_to_bytes(wrong))
    with pytest.raises(MinilmError, match=r"head\.bias must have shape \(9,\), got \(10,\)"):
        read_model(folder)
    broken = arrays | {"head.bias": np.full(9, np.inf, np.float32)}
    _redigest(folder, "model.safetensors", arrays_to_bytes(broken))
    with pytest.raises(MinilmError, match=r"head\.bias holds a number that is not finite"):
        read_model(folder)
    with pytest.raises(MinilmError, match="not finite"):
        write_model(folder.parent / "other", CONFIG, broken)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"format": 1, "model": {"vocab_size": 9, "hidden": 4}}, "unknown field 'hidden'"),
        ({"format": 1, "model": {"vocab_size": -9}}, "vocab_size must be a whole number"),
        ({"format": 1, "model": {"vocab_size": 1e400}}, "vocab_size must be a whole number"),
        ({"format": 1, "model": {"vocab_size": True}}, "vocab_size must be a whole number"),
        (
            {"format": 1, "model": {"vocab_size": 9, "optimizer": {"beta3": 1}}},
            "'optimizer' must be an object",
        ),
        ({"format": 1, "model": {"vocab_size": 9, "optimizer": {"beta1": "a"}}}, "beta1"),
        ({"format": 1, "model": [1]}, "must be an object of sizes"),
        ({"format": 2, "model": {"vocab_size": 9}}, "format that this minilm does not know"),
        ({"model_type": "gpt2"}, "must be an object of sizes"),
    ],
)
def test_a_config_that_cannot_be_is_named(folder, config, message):
    _redigest(folder, "config.json", json.dumps(config).encode())
    with pytest.raises(MinilmError, match=message):
        read_model(folder)


def test_links_out_of_the_folder_are_refused(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes((folder / "config.json").read_bytes())
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(outside)
    with pytest.raises(MinilmError, match="links out of it are refused"):
        read_model(folder)


def test_what_is_no_model_folder_is_told_apart(tmp_path):
    with pytest.raises(MinilmError, match="does not exist or is no folder"):
        read_model(tmp_path / "nothing")
    with pytest.raises(MinilmError, match=r"holds no digests\.json"):
        read_model(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(MinilmError, match="may run code; it is not opened"):
        read_model(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MinilmError, match="for a Hugging Face model write hf:"):
        read_model(tmp_path)


def test_a_missing_file_is_named(folder):
    for name in ("model.safetensors", "tokenizer.model"):
        raw = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(MinilmError, match=f"holds no {name}"):
            read_model(folder)
        (folder / name).write_bytes(raw)


def test_extra_that_is_no_plain_json_is_refused(tmp_path):
    with pytest.raises(MinilmError, match="plain JSON"):
        write_model(tmp_path / "mine", CONFIG, initial_weights(CONFIG), extra={"loss": float("nan")})
