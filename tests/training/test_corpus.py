"""Text from files: kept as it is, or refused in one line that says where."""

import io

import pytest

from minilm.errors import MinilmError
from minilm.training.corpus import find_texts, from_files, from_storyland


def test_a_file_is_one_document_whose_newlines_stay_and_whose_last_tenth_is_held_out(tmp_path):
    text = "a line\r\nanother\n\n\ttabs é 中 😀\n" * 10
    (tmp_path / "a.txt").write_bytes(text.encode())
    (tmp_path / "b.txt").write_bytes(b"0123456789")
    corpus = from_files([tmp_path / "a.txt", tmp_path / "b.txt"])
    assert corpus.train[0] + corpus.held_out[0] == text
    assert len(corpus.held_out[0]) == pytest.approx(len(text) / 10, abs=1)
    assert (corpus.train[1], corpus.held_out[1]) == ("012345678", "9")
    assert not corpus.whole


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello, hello")
    assert from_files([tmp_path / "a.txt"]).train[0].startswith("hello")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "holds no text"),
        (b" \n\t ", "holds no text"),
        (b"x", "1 characters"),
        (b"abc\xffdef", "byte 3 is 0xff, in line 1"),
        (b"a\nb\n\nc\xff", "byte 6 is 0xff, in line 4"),
        ("grün".encode("latin-1"), "byte 2 is 0xfc"),
        ("text".encode("utf-16"), "byte 0 is 0xff"),
        (b"ok \xed\xa0\x80", "byte 3 is 0xed"),
    ],
)
def test_a_file_without_usable_text_is_refused_in_one_line(tmp_path, data, part):
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(MinilmError, match=part) as refused:
        from_files([tmp_path / "a.txt"])
    assert "\n" not in str(refused.value)


def test_a_folder_without_texts_an_idle_pattern_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(MinilmError, match=r"is a folder without \.txt files"):
        from_files([tmp_path])
    with pytest.raises(MinilmError, match="No file matches"):
        from_files([tmp_path / "*.txt"])
    with pytest.raises(MinilmError, match="does not exist"):
        from_files([tmp_path / "none.txt"])


def test_held_out_stories_are_none_of_the_trained_ones():
    corpus = from_storyland(200, seed=3, held_out=50)
    assert (len(corpus.train), len(corpus.held_out), corpus.whole) == (200, 50, True)
    assert not set(corpus.train) & set(corpus.held_out)


def test_folders_patterns_and_standard_input_are_read_in_the_order_of_their_names(tmp_path, monkeypatch):
    (tmp_path / "books" / "old").mkdir(parents=True)
    for name in ("books/b.txt", "books/a.txt", "books/old/c.txt", "books/notes.md", "one.txt", "odd[1].txt"):
        (tmp_path / name).write_text(f"text of {name} " * 9)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"typed by hand, " * 9)))
    assert find_texts(["one.txt", "books"]) == ["one.txt", "books/a.txt", "books/b.txt", "books/old/c.txt"]
    assert find_texts(["books/*.txt", "odd[1].txt"]) == ["books/a.txt", "books/b.txt", "odd[1].txt"]
    assert from_files(["one.txt", "-"]).train[1].startswith("typed by hand")
    with pytest.raises(MinilmError, match="Standard input can be read once"):
        find_texts(["-", "-"])
