"""A model file and the digest beside it: written whole or not at all, refused when one bit has changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from tokenizer.errors import TokenizerError

__all__ = ["read_checked", "write_checked"]


def write_checked(path: Path, data: bytes) -> None:
    """Write `data` to path and its SHA-256 to path.sha256, in the format of the command sha256sum.

    The old digest goes first and the new one comes last: a crash in between leaves a whole model, old
    or new, that still opens.
    """
    digest_path = _digest_path(path)
    try:
        digest_path.unlink(missing_ok=True)
        _replace(path, data)
        _replace(digest_path, f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TokenizerError(f"cannot write {path}: {reason}; name a file in a folder that exists") from None


def read_checked(path: Path) -> tuple[bytes, str | None]:
    """The bytes of a file, checked against the digest beside it; where there is none, a line that says so."""
    if path.is_dir():
        raise TokenizerError(f"a .model file is wanted, {path} is a folder; name the file in it")
    digest_path = _digest_path(path)
    try:
        data = path.read_bytes()
        wanted = digest_path.read_bytes().split(b" ")[0].strip() if digest_path.exists() else None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TokenizerError(f"cannot read {path}: {reason}; check the name") from None
    if wanted is None:
        return data, f"no {digest_path.name} beside {path.name}: it was opened unchecked"
    if hashlib.sha256(data).hexdigest().encode() != wanted:
        raise TokenizerError(
            f"{path} is damaged: it does not match {digest_path.name}; fetch or train it again "
            "(or remove that file, if the change was meant)"
        )
    return data, None


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _replace(path: Path, data: bytes) -> None:
    """To a sibling, to the disk, under its name, and the name to the disk."""
    handle, sibling = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(sibling, 0o644)
        os.replace(sibling, path)
    except BaseException:
        Path(sibling).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
