"""A file that is whole or absent: written beside its place, then renamed into it.

Not synced: after a power cut a reader that must know has to look at a digest.
"""

import os
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Put the data where the path, or the link there, points to; what stood there stays until all is written.

    The folder is made where it is missing. Raises OSError where the disk refuses; nothing is left behind.
    """
    path = Path(os.path.realpath(path))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except BaseException:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise
