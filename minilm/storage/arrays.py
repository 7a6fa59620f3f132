"""Named arrays as one safetensors file, in which every flipped bit is found.

safetensors does not check values, so the metadata holds a digest of every array and one over all of them.
They are one JSON string under one key, because files with two keys differ though their arrays are equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from minilm.errors import MinilmError, first_line
from minilm.records import Array

__all__ = ["array_digest", "arrays_from_bytes", "arrays_to_bytes"]

METADATA_KEY = "minilm"

# Bytes; a model of 3 layers needs about 1,500.
HEADER_LIMIT = 1 << 20

DTYPES = ("float32", "float64", "int64")


def array_digest(array: Array) -> str:
    """Return BLAKE2b of dtype, shape and bytes: 32 hexadecimal digits.

    >>> array_digest(np.zeros(2)) == array_digest(np.zeros((2, 1)))
    False
    """
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _whole(digests: Mapping[str, str]) -> str:
    lines = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.blake2b(lines.encode(), digest_size=16).hexdigest()


def arrays_to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Return the file of some arrays (float32, float64 or int64); equal arrays give equal bytes."""
    values = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    for name, array in values.items():
        if array.dtype.name not in DTYPES:
            raise MinilmError(f"Array {name} must be one of {', '.join(DTYPES)}, got {array.dtype.name}")
    digests = {name: array_digest(array) for name, array in values.items()}
    metadata = json.dumps({"format": 1, "arrays": digests, "whole": _whole(digests)}, sort_keys=True)
    return safetensors.numpy.save(values, metadata={METADATA_KEY: metadata})


def arrays_from_bytes(data: bytes, source: str = "the file") -> dict[str, Array]:
    """Return the arrays of a file, each checked against its digest.

    Args:
        data: the whole file.
        source: what errors call the file.

    Raises:
        MinilmError: the file is truncated, damaged or of another program.
    """
    digests = _digests(data, source)
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(source, str(error)) from None
    if set(arrays) != set(digests):
        odd = sorted(set(arrays) ^ set(digests))[0]
        raise _damaged(source, f"array {odd!r} and its digest do not go together")
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise _damaged(source, f"array {name!r} is {array.dtype.name}, not one of {', '.join(DTYPES)}")
        if array_digest(array) != digests[name]:
            raise _damaged(source, f"array {name!r} does not match its digest")
    return arrays


def _digests(data: bytes, source: str) -> dict[str, str]:
    """Return the digests in the header, after the checks that need no array."""
    # The first 8 bytes are the length of the header, so they can hold any value: 0x80 begins a pickle, and
    # it also begins a header of 128 or 1,408 bytes. Byte 8 tells them apart: a header is JSON, opened by {.
    if data[8:9] != b"{" and (data[:1] == b"\x80" or data[:2] == b"PK"):
        raise MinilmError(f"{source} is a pickle, which could run code; only safetensors files are read")
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > HEADER_LIMIT or length > len(data) - 8:
        got = f"header of {length} bytes in a file of {len(data)}"
        raise _damaged(source, f"it is truncated or no safetensors file ({got})")
    try:
        header: Any = json.loads(data[8 : 8 + length])
        noted: Any = json.loads(header["__metadata__"][METADATA_KEY])
        digests, whole = dict(noted["arrays"]), noted["whole"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MinilmError(
            f"{source} holds no digests of minilm; it is foreign or damaged: save it again with minilm"
        ) from None
    if not all(isinstance(text, str) for text in digests.values()) or whole != _whole(digests):
        raise _damaged(source, "the digest over all arrays does not match")
    return digests


def _damaged(source: str, what: str) -> MinilmError:
    reason = first_line(what, 200, join=True)
    return MinilmError(f"{source} is damaged: {reason}; take another copy or train it again")
