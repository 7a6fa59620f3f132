"""Any record as JSON: the one rule for traces, for the doctor's files and for every command's --json.

The keys are the field names of the records. Bytes are hexadecimal. JSON has no spelling for infinity and nan,
so they are written as null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any, cast

import numpy as np

from minilm.records import Array
from minilm.trace.schema import SCHEMA

__all__ = ["as_json", "dumps"]


def as_json(value: Any, spell: Callable[[float], float | str | None] | None = None) -> Any:
    """Return a record as dicts, lists, strings and numbers, at any depth.

    >>> from minilm.records import Removal
    >>> as_json(Removal("TopK(2)", "rank 3 > 2"))
    {'stage': 'TopK(2)', 'why': 'rank 3 > 2'}
    >>> as_json({"loss": float("nan"), "raw": b"\\x01"})
    {'loss': None, 'raw': '01'}

    Args:
        value: A record (a dataclass), an array, or dicts, lists and plain values with records in them.
        spell: How to write a float; by default as it is, and null where it is not finite.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name), spell) for f in fields(value)}
    if isinstance(value, np.ndarray):
        array = cast("Array", value)
        # The usual case by far: long vectors whose numbers JSON can spell as they are.
        ready = array.dtype.kind != "f" or (spell is None and np.isfinite(array).all())
        return array.tolist() if ready else as_json(array.tolist(), spell)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): as_json(item, spell) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [as_json(item, spell) for item in cast("Sequence[Any]", value)]
    if isinstance(value, float):
        return spell(value) if spell else value if isfinite(value) else None
    return value


def dumps(line: Mapping[str, Any]) -> str:
    """Return one line of strict JSON, the version of the schema first."""
    return json.dumps({"schema": SCHEMA, **line}, ensure_ascii=False, allow_nan=False)
