"""Saved whole or not at all; damaged files are refused and never crash the process."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import tokenizer
from tokenizer import TokenizerError, model_file

CHILD = """
import random, sys, pathlib, tokenizer
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
except ImportError:
    pass  # Windows has no such limit
folder, with_digest, count = pathlib.Path(sys.argv[1]), sys.argv[2] == "digest", int(sys.argv[3])
dice = random.Random(7)
originals = {path: path.read_bytes() for path in sorted(folder.glob("*.model"))}
small, large = originals
for path in originals:
    if not with_digest: path.with_name(path.name + ".sha256").unlink()

def damaged(data):
    data, kind, at = bytearray(data), dice.randrange(5), dice.randrange(len(data))
    if kind == 0: data[at] ^= 1 << dice.randrange(8)
    elif kind == 1: del data[at:]
    elif kind == 2: data[at : at + dice.randrange(1, 50)] = dice.randbytes(dice.randrange(50))
    elif kind == 3: data[at:at] = data[at // 2 : at // 2 + dice.randrange(1, 100)]
    else:
        for _ in range(20): data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)

refused = opened = 0
for number in range(count):
    target = large if number % 20 == 0 else small
    changed = damaged(originals[target])
    if changed == originals[target]: continue
    target.write_bytes(changed)
    try:
        codec = tokenizer.load(target)
        codec.decode(codec.encode("to be \\u2581 or\\n not \\0"))
        opened += 1
    except tokenizer.TokenizerError:
        refused += 1
print(refused, opened)
"""


def run_damaged(folder, how, count):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), how, str(count)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return map(int, done.stdout.split())


@pytest.fixture
def models(lines, small):
    """A small and a large model, in memory where the system has a disk there: 10,000 files are written."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        folder = Path(name)
        small.save(folder / "a.model")
        tokenizer.train(lines=lines, vocab_size=420, settings="nfkc", out=folder / "b.model")
        yield folder


@pytest.mark.slow
def test_ten_thousand_damaged_models_are_all_refused_by_their_digest(models):
    refused, opened = run_damaged(models, "digest", 10_000)
    assert opened == 0
    assert refused > 9_900


@pytest.mark.slow
def test_damaged_models_without_a_digest_are_refused_or_opened_but_never_crash(models):
    refused, opened = run_damaged(models, "none", 2_000)
    assert refused + opened > 1_900
    assert refused > 1_000


def test_a_saved_model_opens_again_and_its_digest_is_that_of_sha256sum(tmp_path, small):
    path = tmp_path / "my model.model"
    small.save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "my model.model.sha256").read_text() == f"{digest}  my model.model\n"
    assert small.digest == digest
    assert tokenizer.load(path) == small
    assert tokenizer.load(path).notices == ()
    assert sorted(os.listdir(tmp_path)) == ["my model.model", "my model.model.sha256"]


def test_a_changed_byte_that_leaves_a_valid_model_is_refused_by_the_digest(tmp_path, small):
    path = tmp_path / "x.model"
    small.save(path)
    changed = small.model_bytes.replace(b"river", b"RIVER", 1)
    assert changed != small.model_bytes
    path.write_bytes(changed)
    with pytest.raises(TokenizerError, match=r"is damaged: it does not match x\.model\.sha256"):
        tokenizer.load(path)
    (tmp_path / "x.model.sha256").unlink()
    assert tokenizer.load(path) != small


def test_a_model_without_its_digest_opens_and_says_so(tmp_path, small):
    path = tmp_path / "x.model"
    small.save(path)
    (tmp_path / "x.model.sha256").unlink()
    assert tokenizer.load(path).notices == ("no x.model.sha256 beside x.model: it was opened unchecked",)


def test_what_is_no_model_is_refused_in_one_line(tmp_path):
    path = tmp_path / "x.model"
    for data in (b"", b"hello", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\0" * 100, b"{}" * 1000):
        path.write_bytes(data)
        with pytest.raises(
            TokenizerError, match=r"no valid SentencePiece model: .*; train it or download it again"
        ):
            tokenizer.load(path)
    with pytest.raises(TokenizerError, match="is a folder; name the file in it"):
        tokenizer.load(tmp_path)
    with pytest.raises(TokenizerError, match=r"cannot read .*: No such file"):
        tokenizer.load(tmp_path / "none.model")


@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_while_saving_leaves_a_model_that_opens(tmp_path, small, lines, monkeypatch, call):
    path = tmp_path / "x.model"
    old = tokenizer.train(lines=lines, vocab_size=400, out=path)
    replace, calls = os.replace, []

    def crash(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        replace(*arguments)

    monkeypatch.setattr(model_file.os, "replace", crash)
    with pytest.raises(TokenizerError, match=r"cannot write .*: No space left on device"):
        small.save(path)
    assert tokenizer.load(path) == (old if call == 1 else small)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []
