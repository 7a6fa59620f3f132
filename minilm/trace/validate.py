"""Checks one line of a trace against the schema: the first place that does not fit, and what was found there.

This is a small JSON Schema validator: it knows the words that schema.py uses and no others. So reading a
trace needs no further package. The tests compare it with the jsonschema package.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, cast

from minilm.errors import MinilmError
from minilm.trace.schema import SCHEMA, trace_schema

__all__ = ["find_fault", "parse_line"]

_TYPES: dict[str, Any] = {
    "string": str, "boolean": bool, "null": NoneType, "array": list, "object": dict,
}  # fmt: skip

# No whole number of a trace comes near this.
_LARGEST = 2**63


def parse_line(row: bytes, where: str) -> dict[str, Any]:
    """Return the JSON value of one line of a trace.

    >>> parse_line(b'{"schema": 1, "end": NaN}', "Line 3")
    Traceback (most recent call last):
    minilm.errors.MinilmError: Line 3: not JSON (NaN is not in its grammar)

    Args:
        row: The line, as bytes.
        where: How the message of an error begins.

    Raises:
        MinilmError: The line is not strict JSON, or is not a line of a trace.
    """
    try:
        line = json.loads(row, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MinilmError(f"{where}: not JSON ({error})") from error
    if not isinstance(line, dict):
        raise MinilmError(f"{where}: schema {SCHEMA} expected, got {type(line).__name__}")
    facts = cast("dict[str, Any]", line)
    if (found := _short(facts.get("schema"))) != str(SCHEMA):
        raise MinilmError(f"{where}: schema {SCHEMA} expected, got {found}")
    if fault := find_fault(facts):
        raise MinilmError(f"{where} is not a line of a trace: {fault}")
    return facts


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not in its grammar")


def find_fault(line: Mapping[str, Any]) -> str | None:
    """Return why a JSON value is not a line of a trace: the place, and what is there. None where it is one.

    >>> find_fault({"schema": 1, "end": {"ids": [], "text": "", "finish": None, "steps": -1}})
    'end.steps: -1 is below 0'
    """
    kinds = trace_schema()["oneOf"]
    kind = next((k for k in kinds[:3] if k["required"][1] in line), kinds[3])
    return next(_find_faults(line, kind, ""), None)


def _find_faults(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = trace_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [list(_find_faults(value, option, place)) for option in schema["anyOf"]]
        if all(found):
            yield found[0][0]
        return
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        if type(value) not in map(type, allowed) or value not in allowed:
            yield f"{place}: {_short(value)} is none of {allowed}"
        return
    kinds: Any = schema["type"]
    names = cast("list[str]", kinds if isinstance(kinds, list) else [kinds])
    if not any(_is(value, name) for name in names):
        yield f"{place or 'the line'}: {_short(value)} is no {' or '.join(names)}"
    elif isinstance(value, dict):
        yield from _check_object(cast("dict[str, Any]", value), schema, place)
    elif isinstance(value, list):
        yield from _check_array(cast("list[Any]", value), schema, place)
    elif value is not None:
        yield from _check_bounds(value, schema, place)


def _check_object(value: Mapping[str, Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    properties, others = schema.get("properties", {}), schema["additionalProperties"]
    yield from (
        f"{_join(place, name)} is missing" for name in schema.get("required", ()) if name not in value
    )
    pattern = schema.get("propertyNames", {}).get("pattern")
    for name, item in value.items():
        if name in properties:
            yield from _find_faults(item, properties[name], _join(place, name))
        elif others is False or (pattern and not re.fullmatch(pattern, name)):
            yield f"{_join(place, _short(name))} is no field of it"
        else:
            yield from _find_faults(item, others, _join(place, name))


def _check_array(value: list[Any], schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{place}: {len(value)} items, {schema['minItems']} expected"
    simple = schema["items"] == {"type": "number"} and all(type(v) is float and v * 0 == 0 for v in value)
    # Vectors are long and nearly always right, so the usual case is one quick pass.
    if not simple:
        for number, item in enumerate(value):
            yield from _find_faults(item, schema["items"], f"{place}[{number}]")


def _check_bounds(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if isinstance(value, str):
        if not value.isascii() and value.encode("utf-8", "replace").decode("utf-8") != value:
            yield f"{place}: {_short(value)} holds half a character"
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            yield f"{place}: {_short(value)} is not hexadecimal"
        return
    low, high, below = (schema.get(word) for word in ("minimum", "maximum", "exclusiveMaximum"))
    if low is not None and value < low:
        yield f"{place}: {value} is below {low}"
    if (high is not None and value > high) or (below is not None and value >= below):
        yield f"{place}: {value} is above {high if below is None else below}"


def _is(value: Any, name: str) -> bool:
    if name in ("integer", "number") and type(value) is int:
        return abs(value) < _LARGEST
    if name == "number":
        return type(value) is float and value * 0 == 0
    return name != "integer" and isinstance(value, _TYPES[name])


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
