"""The logits of a run in one NumPy file that grows by a row per step and can be loaded at any moment.

`np.load("run.jsonl.logits.npy")` gives (steps, V) float32: what the model answered, before any stage. A row
is written first and counted in the header afterwards, so a crash loses at most the row that is being written.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["LogitsWriter", "logits_path", "read_logits"]


def logits_path(trace: str | Path) -> Path:
    """Return the path of the logits of a trace: the file beside it.

    >>> logits_path("runs/one.jsonl").name
    'one.jsonl.logits.npy'
    """
    return Path(f"{trace}.logits.npy")


class LogitsWriter:
    """Appends rows of logits to an open, empty, seekable binary file.

    Args:
        file: The file.
        vocab_size: Length V of a row.
    """

    def __init__(self, file: BinaryIO, vocab_size: int) -> None:
        self._file = file
        self._shape = (0, vocab_size)
        file.write(_header(self._shape))
        file.flush()

    def row(self, logits: Array) -> None:
        """Write the logits (V,) of one step as float32."""
        rows, size = self._shape
        self._file.seek(0, io.SEEK_END)
        self._file.write(np.asarray(logits, dtype="<f4").reshape(size).tobytes())
        self._file.flush()
        self._shape = (rows + 1, size)
        self._file.seek(0)
        self._file.write(_header(self._shape))
        self._file.flush()


def read_logits(path: str | Path, vocab_size: int, steps: int) -> Array:
    """Return the logits (rows, V) in a file. They are read-only, and read from the disk when they are needed.

    Args:
        path: The file.
        vocab_size: The V that the trace names.
        steps: How many rows there must be at least.

    Raises:
        MinilmError: The file is missing or damaged, has another V, or has too few rows.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_header((0, vocab_size))))
        size_on_disk = Path(path).stat().st_size - len(begin)
    except OSError as error:
        raise MinilmError(
            f"Logits {path} cannot be read: {error.strerror}; record them with "
            "minilm generate --trace FILE --logits"
        ) from error
    shape = re.search(rb"'shape': \((\d{1,12}), (\d{1,12})\)", begin)
    rows, size = (int(number) for number in shape.groups()) if shape else (0, 0)
    if begin != _header((rows, size)) and size == vocab_size:
        raise MinilmError(f"Logits {path} are damaged: their header is not that of float32 rows")
    if size != vocab_size or rows < steps or size_on_disk < rows * size * 4:
        raise MinilmError(
            f"Logits {path} must hold {steps} rows or more of {vocab_size}, got {rows} of {size} in "
            f"{size_on_disk} bytes; they are damaged or belong to another trace"
        )
    if not rows:
        return np.zeros((0, size), np.float32)
    return np.memmap(path, "<f4", "r", len(begin), (rows, size))


def _header(shape: tuple[int, int]) -> bytes:
    """Return the header of a NumPy file of float32 rows. NumPy pads it, so its length never changes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
