"""A value inside a record by its path, and how any value is shown: what `print` does in both debuggers.

A path is names and places: `decision.candidates[0].text`, `gradient head.bias`, `embedding[3, 0]`. Only
fields of records, keys and places are read: nothing is called, nothing is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, clip, wrap_line
from minilm.faces.visible import quoted
from minilm.records import Candidate, Decision, Step, TrainStep

__all__ = ["field_at", "shown"]

_NAME = re.compile(r"[ .]*([A-Za-z]\w*|-?\d+)")

_PLACES = re.compile(r" *\[ *(-?\d+(?: *, *-?\d+)*) *\]")


def field_at(roots: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path that begins with one of the roots.

    >>> from minilm.records import Removal
    >>> field_at({"removed_by": Removal("TopK(2)", "rank 3 > 2")}, "removed_by.why")
    'rank 3 > 2'
    >>> field_at({"weight": {"head.bias": [0.5, 0.25]}}, "weight head.bias[1]")
    0.25

    Args:
        roots: The values that a path can begin with, by name.
        path: Names after dots or spaces, places in brackets. `[3, 0]` is the same as `[3][0]`.

    Raises:
        MinilmError: The path cannot be read, or leads to nothing; the message lists what there is.
    """
    value: Any = roots
    at = 0
    while at < len(path):
        so_far = path[:at]
        if is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in fields(value)}
        names, at = _next_names(value, path, at)
        for name in names:
            value = _part(value, name, so_far)
    return value


def _next_names(value: Any, path: str, at: int) -> tuple[list[str], int]:
    """Return the names or places that come next in a path, and where the path goes on after them."""
    places = _PLACES.match(path, at)
    if places:
        return [place.strip() for place in places[1].split(",")], places.end()
    name = _NAME.match(path, at)
    if name is None:
        raise MinilmError(f"A path is written like decision.candidates[0].text, got {clip(path, 60)!r}")
    # The name of a parameter has dots in it: the longest key that fits is meant.
    keys = map(str, value) if isinstance(value, Mapping) else ()
    fitting = [key for key in keys if re.match(rf"{re.escape(key)}(?![\w])", path[name.start(1) :])]
    found = max(fitting, key=len, default=name[1])
    return [found], name.start(1) + len(found)


def _part(value: Any, name: str, path: str) -> Any:
    if isinstance(value, Mapping):
        by_text = {str(key): item for key, item in value.items()}
        if name in by_text:
            return by_text[name]
        known = ", ".join(by_text) or "nothing"
        what = f"{path} has no {name!r}; it has" if path else f"Nothing here is called {name!r}; there is"
        raise MinilmError(f"{what} {known}")
    if isinstance(value, np.ndarray | tuple | list):
        return _item(value, name, path)
    kind = type(value).__name__
    raise MinilmError(f"{path} is {kind}, which has no parts; leave {clip(name, 40)!r} out")


def _item(value: Sequence[Any] | np.ndarray, name: str, path: str) -> Any:
    # An array without dimensions is a number, and has no places.
    size = 0 if isinstance(value, np.ndarray) and not value.ndim else len(value)
    if not re.fullmatch(r"-?\d{1,9}", name) or not -size <= int(name) < size:
        raise MinilmError(f"{path} has the places 0 to {size - 1}, got {clip(name, 40)}")
    return value[int(name)]


def shown(value: Any, show: str = "brief") -> str:
    """Return any value as text: records by their face, arrays with their shape, the rest a line a part."""
    if isinstance(value, Step | Decision | Candidate | TrainStep):
        return text.render(value, show)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}\n{np.array2string(value, threshold=200, max_line_width=WIDTH)}"
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return "\n".join(clip(f"{key} = {_short(item)}", WIDTH) for key, item in value.items())
    if isinstance(value, tuple | list) and any(is_dataclass(item) for item in value):
        return "\n".join(line for n, item in enumerate(value) for line in _item_lines(n, item))
    return repr(value.item() if isinstance(value, np.generic) else value)


def _item_lines(place: int, item: Any) -> list[str]:
    said = text.render(item) if isinstance(item, Candidate) else _short(item)
    return wrap_line(f"[{place}] {said}", WIDTH, "    ")


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    return quoted(value) if isinstance(value, str) else " ".join(repr(value).split())
