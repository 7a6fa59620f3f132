"""Step to JSON line: a trace is what was asked, every step, and how it ended, one strict JSON value a line.

Keys are the field names of the records; bytes are hexadecimal; a number that JSON cannot spell (-inf)
is null. Every line is flushed as it is written, so a crash loses at most the line being written. With
logits, which go to a file of their own, the trace also carries its vocabulary, so that a replay can name what
it draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any, cast

import numpy as np

from minilm.records import Array
from minilm.trace.schema import SCHEMA

__all__ = ["as_json", "dumps"]


def as_json(value: Any) -> Any:
    """A record as dicts, lists, strings and numbers.

    >>> from minilm.records import Removal
    >>> as_json(Removal("TopK(2)", "rank 3 > 2"))
    {'stage': 'TopK(2)', 'why': 'rank 3 > 2'}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        array = cast("Array", value)
        spelt = array.dtype.kind != "f" or np.isfinite(array).all()
        return array.tolist() if spelt else as_json(array.tolist())
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def dumps(line: Mapping[str, Any]) -> str:
    """One line of strict JSON, the schema's version first."""
    return json.dumps({"schema": SCHEMA, **line}, ensure_ascii=False, allow_nan=False)
