"""Files and folders are whole or absent, whatever the disk does; what was there stays."""

import errno
import os
from pathlib import Path

import pytest

from minilm.atomic import (
    fill_folder,
    new_binary_file,
    new_file,
    new_folder,
    write_file,
    write_folder,
    write_new_file,
)
from minilm.errors import MinilmError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill_and_stop(new, error):
    with new as folder:
        (folder / "a").write_bytes(b"half")
        raise error


def write_and_stop(new):
    with new as file:
        file.write("first line\n")
        raise KeyboardInterrupt


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A disk that can be made to fail: disk("write"), disk("rename"), with an error of one's own."""
    place = tmp_path / "disk"
    place.mkdir()
    (place / "old").mkdir()
    (place / "old" / "a").write_bytes(b"old a")
    (place / "file").write_bytes(b"old file")

    def fail(when, error=FULL):
        def refuse(*_, **__):
            raise error

        def write_half(path, data):
            with path.open("wb") as file:
                file.write(data[: len(data) // 2])
            raise error

        if when == "write":
            monkeypatch.setattr(Path, "write_bytes", write_half)
        else:
            for name in ("replace", "rename") if when == "rename" else ("fsync",):
                monkeypatch.setattr(os, name, refuse)

    return place, fail


WRITERS = {
    "a file": (lambda place: write_file(place / "file", b"new file"), "write rename"),
    "a file in a new folder": (lambda place: write_file(place / "new" / "file", b"new"), "write rename"),
    "a new file": (lambda place: write_new_file(place / "new", b"new file", "--out"), "write rename"),
    "a new folder": (lambda place: write_folder(place / "new", {"a": b"new a"}), "write rename fsync"),
}


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()], ids=["full", "killed"])
@pytest.mark.parametrize(
    ("writer", "when"), [(name, when) for name, (_, all_) in WRITERS.items() for when in all_.split()]
)
def test_a_disk_that_fails_keeps_what_was_there_and_leaves_nothing_else(disk, writer, when, error):
    place, fail = disk
    before = tree(place)
    fail(when, error)
    with pytest.raises((OSError, MinilmError, KeyboardInterrupt)):
        WRITERS[writer][0](place)
    assert tree(place) == before
    assert not list(place.rglob(".*"))


@pytest.mark.parametrize("writer", WRITERS)
def test_the_same_writer_goes_through_on_a_disk_that_works(disk, writer):
    place, _ = disk
    before = tree(place)
    WRITERS[writer][0](place)
    assert tree(place) != before
    assert not list(place.rglob(".*"))


@pytest.mark.parametrize("when", ["rename", "fsync"])
def test_a_folder_that_cannot_be_finished_is_one_line_and_absent(disk, when):
    place, fail = disk
    fail(when)
    with (
        pytest.raises(MinilmError, match="new cannot be written: No space left") as error,
        new_folder(place / "new") as folder,
    ):
        (folder / "a").write_text("a")
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in place.iterdir()) == ["file", "old"]


def test_a_folder_whose_filling_breaks_off_is_absent_and_the_error_is_the_callers(tmp_path):
    with pytest.raises(BrokenPipeError):
        fill_and_stop(new_folder(tmp_path / "new"), BrokenPipeError())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_seen_before_it_is_complete(tmp_path):
    with new_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("a")
        assert not (tmp_path / "new").exists()
    assert tree(tmp_path) == {str(Path("new", "sub", "a")): b"a"}


def test_files_that_move_into_a_folder_leave_its_other_files(disk):
    place, _ = disk
    with fill_folder(place / "old") as folder:
        (folder / "b").write_bytes(b"new b")
        assert tree(place / "old") == {"a": b"old a"}
    assert tree(place / "old") == {"a": b"old a", "b": b"new b"}
    with pytest.raises(ValueError, match="stop"):
        fill_and_stop(fill_folder(place / "old"), ValueError("stop"))
    assert tree(place / "old") == {"a": b"old a", "b": b"new b"}


def test_a_file_that_exists_is_refused_by_name_and_stays(disk):
    place, _ = disk
    path = place / "file"
    said = f"--trace {path} exists already; name another file or remove it"
    with pytest.raises(MinilmError) as refused, new_file(path, "--trace"):
        pass
    assert str(refused.value) == said
    with pytest.raises(MinilmError) as refused:
        write_new_file(path, b"new", "--trace")
    assert str(refused.value) == said
    assert path.read_bytes() == b"old file"


def test_a_file_that_grows_stays_when_its_run_breaks_off(tmp_path):
    path = tmp_path / "trace"
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(new_file(path, "--trace"))
    assert path.read_bytes() == b"first line\n"


def test_a_file_left_empty_never_blocks_a_retry(tmp_path):
    path = tmp_path / "trace"
    with pytest.raises(OSError, match="No space left"), new_file(path, "--trace"):
        raise FULL
    assert not path.exists()
    # a run that was killed before its first line
    path.touch()
    with new_binary_file(path, "--trace") as file:
        file.write(b"all")
    assert path.read_bytes() == b"all"
    path.write_bytes(b"")
    write_new_file(path, b"new", "--trace")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_folder_or_a_pipe_is_no_empty_file(tmp_path, kind):
    path = make_special(tmp_path / kind, kind)
    with pytest.raises(MinilmError, match="exists already"), new_file(path, "--trace"):
        pass
    with pytest.raises(MinilmError, match="exists already"):
        write_new_file(path, b"", "--trace")
    assert path.is_dir() or path.is_fifo()


def test_a_pipe_is_written_into_and_stays(tmp_path):
    path = make_special(tmp_path / "pipe", "pipe")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_file(path, b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert path.is_fifo()


def make_special(path: Path, kind: str) -> Path:
    """Make a folder or a named pipe; never a real device, which a wrong line of code could remove."""
    if kind == "folder":
        path.mkdir()
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("this system has no named pipes")
    return path


def test_a_file_in_a_folder_that_is_missing_is_one_line(tmp_path):
    path = tmp_path / "missing" / "trace"
    with (
        pytest.raises(MinilmError, match=r"^--trace .*trace cannot be written: No such file"),
        new_file(path, "--trace"),
    ):
        pass
    with pytest.raises(MinilmError, match=r"^--out .*trace cannot be written: No such file"):
        write_new_file(path, b"", "--out")
