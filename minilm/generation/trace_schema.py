"""The JSON Schema of a trace's lines, made from the records, so that it cannot drift from them.

What the fields mean is in trace_fields.py; a line is held against it in trace_line.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from minilm.generation.trace_fields import BOUNDS, MEANINGS
from minilm.records import Step

__all__ = ["SCHEMA", "trace_schema"]

SCHEMA = 1
"""The version that every line of a trace carries."""

_HEX = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_PLAIN: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    bytes: _HEX,
    NoneType: {"type": "null"},
    np.ndarray: {"type": "array", "items": {"type": "number"}},
}
_NULLABLE = ("Candidate.logit", "Candidate.logp_model")  # -inf, which JSON cannot spell
_LATER = ("StageEffect.cut", "Decision.fragile", "vocabulary.words")  # older traces have none
_CLOSED: dict[str, Any] = {"additionalProperties": False}


@cache
def trace_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one line of a trace, every field described.

    >>> trace_schema()["$defs"]["Step"]["properties"]["offset"]["description"]
    'Where new_text begins in the generated text, in bytes of UTF-8.'
    """
    defs: dict[str, Any] = {}
    _record(Step, defs)
    ints, text = list[int], str
    start = {"model": text, "vocab_size": int, "prompt_ids": ints, "prompt": text, "stages": text}
    start |= {"seed": int, "top": int, "max_tokens": int | None, "stop": list[str]}
    start |= {"eos_ids": ints, "watch": ints, "branch": int}
    end = {"ids": ints, "text": text, "finish": str | None, "steps": int, "error": text}
    vocabulary = {"bytes": list[bytes], "names": Mapping[int, str], "words": Mapping[str, ints]}
    lines = [
        _line("start", _object("start", start, defs)),
        _line("vocabulary", _object("vocabulary", vocabulary, defs)),
        _line("end", _object("end", end, defs, optional=("error",))),
        {**defs["Step"], "required": ["schema", *defs["Step"]["required"]]},
    ]
    lines[-1]["properties"] = {"schema": {"const": SCHEMA}, **defs["Step"]["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a minilm trace",
        "description": "The first line says what was asked; a run kept with its logits has its vocabulary "
        "next; then a line per generated token; the last says how it ended.",
        "oneOf": lines,
        "$defs": defs,
    }


def _line(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    properties = {"schema": {"const": SCHEMA}, kind: value}
    return {"type": "object", "properties": properties, "required": ["schema", kind]} | _CLOSED


def _record(record: type, defs: dict[str, Any]) -> dict[str, Any]:
    if record.__name__ not in defs:
        hints = get_type_hints(record, localns={})  # a field named bytes must not hide the type
        named = {f.name: hints[f.name] for f in fields(record)}
        defs[record.__name__] = _object(record.__name__, named, defs)
    return {"$ref": f"#/$defs/{record.__name__}"}


def _object(name: str, types: Mapping[str, Any], defs: dict[str, Any], optional: Any = ()) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, kind in types.items():
        place = f"{name}.{key}"
        value = _value(kind | None if place in _NULLABLE else kind, defs)
        properties[key] = {**value, "description": MEANINGS[place], **BOUNDS.get(place, {})}
    required = [key for key in types if key not in optional and f"{name}.{key}" not in _LATER]
    return {"type": "object", "properties": properties, "required": required} | _CLOSED


def _value(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, defs)
    origin, inside = get_origin(kind), get_args(kind)
    if origin is UnionType:
        plain = all(part in _PLAIN for part in inside)
        options = [_value(part, defs) for part in inside]
        return {"type": [o["type"] for o in options]} if plain else {"anyOf": options}
    if origin is tuple and Ellipsis not in inside:
        size = len(inside)
        return {"type": "array", "items": _value(inside[0], defs), "minItems": size, "maxItems": size}
    if origin in (tuple, list):
        return {"type": "array", "items": _value(inside[0], defs)}
    shown = {"pattern": "^[0-9]+$"} if inside[0] is int else {}
    return {"type": "object", "propertyNames": shown, "additionalProperties": _value(inside[1], defs)}
