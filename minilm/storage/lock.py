"""A lock on a folder: one process at a time may write there, and its lock goes when the process ends."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from weakref import finalize

from minilm.errors import MinilmError

__all__ = ["LOCK", "FolderLock"]

LOCK = ".lock"
"""The name of the file that is locked. A killed process leaves it behind, and then it locks nothing."""

# What the system answers where another process has locked the file.
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class FolderLock:
    """A lock on a folder, from its creation to `release` or the end of the process, whichever is first.

    The system keeps the lock with the open file, so that a killed process leaves no lock behind. On a disk
    that knows no locks, the folder is used without one.
    """

    def __init__(self, folder: str | Path) -> None:
        """Lock a folder, which is made where it is missing.

        Raises:
            MinilmError: another training has locked it, or the folder cannot be made or written.
        """
        self._path = Path(folder) / LOCK
        self._made = not Path(folder).exists()
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise MinilmError(f"{folder} cannot be written: {error.strerror}; give another folder") from None
        self._close = finalize(self, os.close, handle)
        try:
            _lock(handle)
            # Who had the lock may have removed the file after it was opened here.
            taken = not os.path.exists(self._path) or not os.path.samestat(
                os.fstat(handle), self._path.stat()
            )
        except OSError as error:
            taken = error.errno in _TAKEN
        if taken:
            self._close()
            raise MinilmError(
                f"Another training is running in {folder}; wait until it ends, or give another --out"
            )

    def release(self) -> None:
        """Unlock the folder. It is removed where it was made for the lock and nothing was written to it."""
        if os.name == "nt":
            # Windows removes no open file.
            self._close()
        with suppress(OSError):
            self._path.unlink()
        self._close()
        if self._made:
            with suppress(OSError):
                self._path.parent.rmdir()


def _lock(handle: int) -> None:
    """Lock an open file at once or raise OSError."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
