"""minilm tokenizer: what it prints, and one line with exit code 2 for what cannot be."""

import json
import os
import subprocess
import sys

import pytest

import tokenizer

GOLDEN = """\
"hugs and pugs €": 15 characters
merge  rank  pair        text so far
                         h|u|g|s| |a|n|d| |p|u|g|s| |€
    1     0   "u"  "g"   h|ug|s| |a|n|d| |p|u|g|s| |€
    2     0   "u"  "g"   h|ug|s| |a|n|d| |p|ug|s| |€
    3     1   " "  "p"   h|ug|s| |a|n|d| p|ug|s| |€
    4     2   "h"  "ug"  hug|s| |a|n|d| p|ug|s| |€
    5     3  " p"  "ug"  hug|s| |a|n|d| pug|s| |€

 id  piece
262  "hug"
270  "s"
267  " "
101  "a"
114  "n"
104  "d"
263  " pug"
270  "s"
267  " "
230  b"\\xe2"
134  b"\\x82"
176  b"\\xac"
ids 262 270 267 101 114 104 263 270 267 230 134 176
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "a model.model"
    tokenizer.train(lines=["hug pug hug pug hugs pug"], vocab_size=271, out=path)
    return path


def minilm(*arguments, encoding="utf-8"):
    return subprocess.run(
        [sys.executable, "-m", "minilm", "tokenizer", *map(str, arguments)],
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": encoding},
    )  # fmt: skip


def refused(done):
    assert done.returncode == 2, done
    assert done.stdout == b""
    line = done.stderr.decode()
    assert line.count("\n") == 1
    return line


def test_explain_prints_merge_by_merge(model):
    done = minilm("explain", "hugs and pugs €", "--model", model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == GOLDEN


def test_explain_as_json_gives_the_records(model):
    *merges, end = map(json.loads, minilm("explain", "hugs", "--model", model, "--json").stdout.splitlines())
    codec = tokenizer.load(model)
    assert {line["schema"] for line in (*merges, end)} == {1}
    assert merges[0]["pair"] == ["u", "g"]
    assert [merge["order"] for merge in merges] == list(range(len(merges)))
    assert end["end"]["ids"] == codec.encode("hugs")
    assert end["end"]["text"] == "hugs"


def test_encode_shows_ids_and_pieces_and_never_raw_control_characters(model):
    done = minilm("encode", "hug\x1b€", "--special", "--model", model)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[1:4] == ["  2  <s>", '262  "hug"', r' 31  "\x1b"']
    assert "\x1b" not in done.stdout.decode()
    line = json.loads(minilm("encode", "hug\x1b€", "--json", "--model", model).stdout)
    assert line["ids"] == tokenizer.load(model).encode("hug\x1b€")


def test_a_console_of_cp1252_shows_every_text(model):
    done = minilm("explain", "hug 日本 ▁", "--model", model, encoding="cp1252")
    assert done.returncode == 0, done.stderr
    assert r"\u65e5" in done.stdout.decode("cp1252")


def test_train_writes_a_model_and_says_what_it_is(tmp_path):
    text = tmp_path / "a text.txt"
    text.write_text("hug pug hug pug hugs pug\n")
    done = minilm("train", text, "--out", tmp_path / "new.model", "--vocab-size", 5000)
    codec = tokenizer.load(tmp_path / "new.model")
    assert done.returncode == 0, done.stderr
    size = codec.vocab_size
    assert (
        done.stdout.decode() == f"{tmp_path / 'new.model'}: {size} pieces, lossless, sha256 {codec.digest}\n"
    )
    assert f"note: vocabulary lowered from 5,000 to {size}" in done.stderr.decode()
    assert minilm("encode", "hug", "--model", tmp_path / "new.model").returncode == 0


def test_each_mistake_is_one_line_and_exit_code_2(tmp_path, model):
    text, new = tmp_path / "text.txt", tmp_path / "new.model"
    text.write_text("hug pug")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes(b"Gr\xf6\xdfe")
    before = model.read_bytes()
    assert "already exists" in refused(minilm("train", text, "--out", model))
    assert model.read_bytes() == before
    assert "the text is empty" in refused(minilm("train", tmp_path / "empty.txt", "--out", new))
    assert "byte 0xf6 at byte offset 2" in refused(minilm("train", tmp_path / "latin.txt", "--out", new))
    assert "is a folder" in refused(minilm("train", tmp_path, "--out", new))
    assert "too large for this text" in refused(minilm("train", text, "--out", new, "--strict"))
    assert "at least" in refused(minilm("train", text, "--out", new, "--vocab-size", 100))
    assert "no valid SentencePiece model" in refused(minilm("explain", "x", "--model", text))
    assert "cannot read" in refused(minilm("encode", "x", "--model", new))
    model.write_bytes(before.replace(b"hug", b"hog"))
    assert "is damaged" in refused(minilm("encode", "x", "--model", model))
    assert not new.exists()
