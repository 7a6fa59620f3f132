"""Files and folders that are whole or absent: written under another name beside their place, then renamed.

    write_file      a file; the old one stays until the new one is complete
    write_new_file  a file that must not exist yet
    new_file        a file that must not exist yet, open so that it can grow (new_binary_file: of bytes)
    new_folder      a folder that must not exist yet, filled by the caller
    write_folder    a folder that must not exist yet, from names and bytes
    fill_folder     files for a folder that may exist, moved in when all are complete

A crash leaves the old file or folder, or none, and perhaps a left-over `.NAME.*.partial` beside it. Only
folders are synced to the disk: after a power cut, whoever reads a file has to look at its digest.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import get_ident
from typing import IO, Any, BinaryIO, TextIO, TypeVar

from minilm.errors import MinilmError

__all__ = [
    "fill_folder",
    "new_binary_file",
    "new_file",
    "new_folder",
    "write_file",
    "write_folder",
    "write_new_file",
]

File = TypeVar("File", bound=IO[Any])


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or replace the one that is there; its folder is made where it is missing.

    Args:
        path: the file; where it is a link, the file that the link points to.
        data: all that it will hold.

    Raises:
        OSError: the disk refuses; the old file stays and nothing else is left behind.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A device or a pipe takes the bytes; a rename would put a file in its place.
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
    else:
        _replace(path, data)


def write_new_file(path: Path, data: bytes, name: str) -> None:
    """Write a file that must not exist yet.

    Args:
        path: the file.
        data: all that it will hold.
        name: what an error calls the file, for example "--out".

    Raises:
        MinilmError: the file exists, or the disk refuses; nothing is left behind.
    """
    try:
        if os.path.lexists(path) and not _is_empty(path):
            raise _exists(path, name)
        _replace(path, data)
    except OSError as error:
        raise _cannot_write(path, error, name) from error


def new_file(path: Path, name: str) -> AbstractContextManager[TextIO]:
    """Open a text file that must not exist yet, for lines that stay when the run breaks off.

    An empty file, which a run that broke off at once leaves, is no obstacle; so it never blocks a retry.

    Args:
        path: the file.
        name: what an error calls the file, for example "--trace".

    Raises:
        MinilmError: the file exists and is not empty, or cannot be made.
    """
    return _new(path, name, lambda: path.open("x", encoding="utf-8", newline="\n"))


def new_binary_file(path: Path, name: str) -> AbstractContextManager[BinaryIO]:
    """Open a file that must not exist yet, as `new_file` does, for bytes."""
    return _new(path, name, lambda: path.open("xb"))


@contextmanager
def _new(path: Path, name: str, open_new: Callable[[], File]) -> Iterator[File]:
    try:
        if _is_empty(path):
            path.unlink()
        file = open_new()
    except FileExistsError:
        raise _exists(path, name) from None
    except OSError as error:
        raise _cannot_write(path, error, name) from error
    try:
        with file:
            yield file
    except BaseException:
        if _is_empty(path):
            path.unlink()
        raise


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `folder` when the block ends without an error.

    Everything in it is synced to the disk before it is renamed.

    Raises:
        MinilmError: the folder cannot be made or renamed; nothing is left behind.
    """
    with _partial_folder(folder) as partial:
        yield partial
        try:
            _sync(partial)
            os.rename(partial, folder)
            _sync_entry(folder.parent)
        except OSError as error:
            raise _cannot_write(folder, error) from None


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder, all or none, and remove what earlier saves of it left behind.

    Args:
        folder: the folder, which must not exist yet.
        files: what each file will hold, by its name.

    Raises:
        MinilmError: the disk refuses; nothing is left behind.
    """
    try:
        for left_over in folder.parent.glob(f".{folder.name}.*.partial"):
            shutil.rmtree(left_over, ignore_errors=True)
        with new_folder(folder) as partial:
            for name, data in files.items():
                (partial / name).write_bytes(data)
    except OSError as error:
        raise _cannot_write(folder, error) from None


@contextmanager
def fill_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, whose files move into `folder` when the block ends without an error.

    `folder` may exist; its other files stay.
    """
    with _partial_folder(folder) as partial:
        yield partial
        _sync(partial)
        folder.mkdir(exist_ok=True)
        for file in partial.iterdir():
            os.replace(file, folder / file.name)


@contextmanager
def _partial_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder beside another one; it is removed in the end, unless it was renamed."""
    partial = _partial(folder)
    try:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial.mkdir()
        except OSError as error:
            raise _cannot_write(folder, error) from None
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")


def _replace(path: Path, data: bytes) -> None:
    partial = _partial(path)
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise


def _is_empty(path: Path) -> bool:
    """Return whether an ordinary file of 0 bytes is there; a link or a device is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == 0


def _sync(folder: Path) -> None:
    """Wait until the files of a folder, and the folders in it, are on the disk."""
    for path in folder.iterdir():
        if path.is_dir():
            _sync(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    _sync_entry(folder)


def _sync_entry(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    # Windows opens no folders
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exists(path: Path, name: str) -> MinilmError:
    return MinilmError(f"{name} {path} exists already; name another file or remove it")


def _cannot_write(path: Path, error: OSError, name: str = "") -> MinilmError:
    changed = "" if name else "; nothing was changed"
    return MinilmError(f"{name} {path} cannot be written: {error.strerror or error}{changed}".lstrip())
