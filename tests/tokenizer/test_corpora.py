"""Fifteen hostile corpora: trained, or one line naming file, place and fix; nothing dropped in silence."""

import random
from functools import partial

import pytest

import tokenizer
from tokenizer import TokenizerError, corpus, spm

ANY = random.Random(0)

TRAINED = {
    "one character": b"a",
    "only spaces and newlines": b" \n \n  \n",
    "one line of a million characters": b"to be or not to be " * 55_000,
    "one word of 100,000 characters": b"abc" * 33_334,
    "NUL bytes": b"the fox\0the owl\0\0the fox",
    "the space mark and the unknown mark": "a\u2581fox \u2585 fox \u2581\u2581\u2585".encode() * 3,
    "Windows line ends": b"the fox\r\nthe owl\r\n" * 5,
    "special tokens as text": b"<s> the fox </s> <unk> <0x41> <pad>\n" * 5,
    "2,000 different characters": "".join(map(chr, range(0x4E00, 0x4E00 + 2_000))).encode(),
    "control and bidi characters": "\x1b[31m \u202e fox \u200b\x07\x7f \ufeff".encode() * 3,
    "random code points": "".join(map(chr, ANY.choices(range(1, 0xD800), k=1_500))).encode(),
}
REFUSED = {
    "empty": (b"", "nothing to learn from: the text is empty"),
    "only what cannot be learnt": (b"\0\n\0\0", "nothing to learn from"),
    "UTF-16": (
        "the fox".encode("utf-16"),
        "is not UTF-8: byte 0xff at byte offset 0 (line 1); save it as UTF-8",
    ),
    "Latin-1": ("ok\nGröße".encode("latin-1"), "is not UTF-8: byte 0xf6 at byte offset 5 (line 2)"),
    "a character cut off": ("the €".encode()[:-1], "is not UTF-8: byte 0xe2 at byte offset 4 (line 1)"),
    "an encoded surrogate": (b"a\xed\xa0\x80", "is not UTF-8: byte 0xed at byte offset 1 (line 1)"),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_hostile_corpus_is_learnt_from_whole_and_comes_back(tmp_path, name):
    path = tmp_path / "text.txt"
    path.write_bytes(TRAINED[name])
    codec = tokenizer.train(path, vocab_size=3_000)
    text = TRAINED[name].decode()
    assert codec.decode(codec.encode(text)) == text
    given = sum(map(len, _parts(text)))
    left_out = sum(text.count(mark) for mark in "\0\u2581\u2585\n") + text.count("\r\n")
    assert given == len(text) - left_out


def _parts(text: str) -> list[str]:
    return [part for line in corpus.check_texts([text]) for part in corpus.split_sentences(line)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_corpus_that_cannot_be_learnt_is_one_line(tmp_path, name):
    path = tmp_path / "text.txt"
    path.write_bytes(REFUSED[name][0])
    with pytest.raises(TokenizerError) as caught:
        tokenizer.train([path])
    assert REFUSED[name][1] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_second_file_is_the_one_that_is_named(tmp_path):
    (tmp_path / "good.txt").write_text("the fox")
    (tmp_path / "bad.txt").write_bytes(b"the \xff")
    with pytest.raises(TokenizerError, match=r"bad\.txt is not UTF-8: byte 0xff at byte offset 4"):
        tokenizer.train([tmp_path / "good.txt", tmp_path / "bad.txt"])


def test_offset_and_line_are_those_in_the_file_however_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "_BLOCK", 4)
    (tmp_path / "bad.txt").write_bytes(b"the\nfox\nand the\nowl\nGr\xf6\xdfe")
    with pytest.raises(TokenizerError, match=r"byte 0xf6 at byte offset 22 \(line 5\)"):
        tokenizer.train(tmp_path / "bad.txt")


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(TokenizerError, match="is a folder; name the files in it"):
        tokenizer.train(tmp_path)
    with pytest.raises(TokenizerError, match=r"cannot read .*nowhere\.txt: No such file"):
        tokenizer.train(tmp_path / "nowhere.txt")


def test_no_sentence_is_too_long_for_sentencepiece_and_cuts_fall_before_spaces():
    line = "𝒳" * 2_500 + " word" * 1_000
    parts = list(corpus.split_sentences(line))
    assert "".join(parts) == line
    assert max(len(part.encode()) for part in parts) <= 4_192
    assert all(part.startswith(" ") for part in parts[3:])


def test_what_sentencepiece_would_skip_is_learned_from():
    """It skips lines of more than 4,192 bytes or with a U+2585 in them."""
    for text in ("fox " * 2_000, "fox\u2585 " * 20):
        codec = tokenizer.train(lines=[text], vocab_size=290)
        assert len(codec.encode("fox")) == 1, text[:10]


def test_the_notices_say_both_that_a_sample_was_taken_and_that_the_vocabulary_is_smaller(monkeypatch):
    monkeypatch.setattr(spm, "take_sample", partial(corpus.take_sample, limit=2_000))
    codec = tokenizer.train(lines=["the little fox "] * 400, vocab_size=5_000)
    assert [notice.split(" ")[:2] for notice in codec.notices] == [["the", "text"], ["vocabulary", "lowered"]]
