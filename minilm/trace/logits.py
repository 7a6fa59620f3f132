"""The logits of a run as one NumPy file that grows by a row per step and can be loaded at any moment.

`np.load("run.jsonl.logits.npy")` is (steps, V) float32: what the model answered before any stage. A row
is written first and counted in the header afterwards, so a crash loses at most the row being written.
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
    """Where the logits of a trace lie: beside it.

    >>> logits_path("runs/one.jsonl").name
    'one.jsonl.logits.npy'
    """
    return Path(f"{trace}.logits.npy")


class LogitsWriter:
    """Appends rows (V,) to an open, empty, seekable binary file."""

    def __init__(self, file: BinaryIO, vocab_size: int) -> None:
        self._file = file
        self._shape = (0, vocab_size)
        file.write(_header(self._shape))
        file.flush()

    def row(self, logits: Array) -> None:
        """Write the logits (V,) of one step, as float32; -inf stays -inf."""
        rows, size = self._shape
        self._file.seek(0, io.SEEK_END)
        self._file.write(np.asarray(logits, dtype="<f4").reshape(size).tobytes())
        self._file.flush()
        self._shape = (rows + 1, size)
        self._file.seek(0)
        self._file.write(_header(self._shape))
        self._file.flush()


def read_logits(path: str | Path, vocab_size: int, steps: int) -> Array:
    """The logits (rows, V) in a file, read-only and read as they are needed.

    Raises MinilmError where the file is missing, damaged, of another vocabulary or shorter than the trace.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(len(_header((0, vocab_size))))
        held = Path(path).stat().st_size - len(begin)
    except OSError as error:
        raise MinilmError(
            f"Logits {path} cannot be read: {error.strerror}; record them with "
            "minilm generate --trace FILE --logits"
        ) from error
    shape = re.search(rb"'shape': \((\d{1,12}), (\d{1,12})\)", begin)
    rows, size = (int(number) for number in shape.groups()) if shape else (0, 0)
    if begin != _header((rows, size)) and size == vocab_size:
        raise MinilmError(f"Logits {path} are damaged: their header is not that of float32 rows")
    if size != vocab_size or rows < steps or held < rows * size * 4:
        raise MinilmError(
            f"Logits {path} must hold {steps} rows or more of {vocab_size}, got {rows} of {size} in "
            f"{held} bytes; they are damaged or belong to another trace"
        )
    if not rows:
        return np.zeros((0, size), np.float32)
    return np.memmap(path, "<f4", "r", len(begin), (rows, size))


def _header(shape: tuple[int, int]) -> bytes:
    """The header of a NumPy file of float32 rows; NumPy pads it, so that its length does not change."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()
