"""A value inside a record by its path, `decision.candidates[0].text`, and how any value is shown.

Fields of records, keys and places alone: nothing is called, nothing evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from minilm.cli.debug.loop import whole_number
from minilm.cli.debug.train_navigate import TrainDesk
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, clip, wrap
from minilm.faces.visible import quoted
from minilm.records import Array, Candidate, Decision, Step, TrainStep
from minilm.training.timeline.breakpoints import NAMES

__all__ = ["field_at", "printed", "shown"]

_PART = re.compile(r"\.?([A-Za-z]\w*|-?\d+)|\[(-?\d+)\]")


def field_at(roots: Mapping[str, Any], path: str) -> Any:
    """The value at a path that begins with one of the roots. Raises MinilmError with what there is.

    >>> from minilm.records import Removal
    >>> field_at({"removed_by": Removal("TopK(2)", "rank 3 > 2")}, "removed_by.why")
    'rank 3 > 2'
    """
    value: Any = roots
    place, so_far = 0, ""
    while place < len(path):
        match = _PART.match(path, place)
        if match is None:
            raise MinilmError(f"A path is written like decision.candidates[0].text, got {path!r}")
        name, place = match[1] or match[2], match.end()
        value = _part(value, name, so_far)
        so_far = path[:place]
    return value


def _part(value: Any, name: str, path: str) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        by_text = {str(key): item for key, item in value.items()}
        if name in by_text:
            return by_text[name]
        known = ", ".join(by_text) or "nothing"
        what = f"{path} has no {name!r}; it has" if path else f"Nothing here is called {name!r}; there is"
        raise MinilmError(f"{what} {known}")
    if isinstance(value, np.ndarray | tuple | list):
        return _item(value, name, path)
    raise MinilmError(f"{path} is {type(value).__name__}, which has no parts; leave {name!r} out")


def _item(value: Sequence[Any] | np.ndarray, name: str, path: str) -> Any:
    size = len(value) if np.ndim(value) or not isinstance(value, np.ndarray) else 0
    if not re.fullmatch(r"-?\d{1,9}", name) or not -size <= int(name) < size:
        raise MinilmError(f"{path} has the places 0 to {size - 1}, got {name}")
    return value[int(name)]


def shown(value: Any, show: str = "brief") -> str:
    """Any value as text: records by their face, arrays with their shape, the rest a line a part."""
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
    return wrap(f"[{place}] {said}", WIDTH, "    ")


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype}"
    return quoted(value) if isinstance(value, str) else " ".join(repr(value).split())


_BATCH = ("inputs", "targets", "mask")

_KINDS: dict[str, Callable[[TrainDesk], Mapping[str, Array]]] = {
    "weight": lambda desk: desk.here.model.weights(),
    "gradient": lambda desk: desk.here.gradients().arrays,
    "update": lambda desk: desk.here.updates(),
    "snapshot": lambda desk: desk.here.model.snapshot(),
}

_ASKED = re.compile(
    r"(?:(?P<kind>weight|gradient|update|snapshot)\s+)?(?P<name>[\w.]+)\s*(?:\[(?P<at>\s*\d+(?:\s*,\s*\d+)*\s*)\])?"
)


def printed(desk: TrainDesk, asked: str) -> str:
    """What was asked for, as text. Raises MinilmError that lists what there is.

    Weights, gradients and updates are those of this place, before its next update.
    """
    match = _ASKED.fullmatch(asked.strip())
    if match is None:
        raise MinilmError(
            f"print takes a name, such as loss, embedding[3] or gradient head.bias; got {asked!r}"
        )
    name = match["name"]
    if match["kind"] is None and name in NAMES:
        if match["at"] is not None:
            raise MinilmError(f"{name} is one number; leave [{clip(match['at'], 40)}] out")
        step = desk.here.step
        return f"{name} = {'not known before the first step' if step is None else NAMES[name][1](step)}"
    if match["kind"] is None and name in _BATCH:
        return _shown(f"{name} of step {desk.here.index + 1}", getattr(desk.here.batch, name), match["at"])
    arrays = _KINDS[match["kind"] or "weight"](desk)
    if name not in arrays:
        known = [*NAMES, *_BATCH, *arrays]
        raise MinilmError(f"There is no {name!r} to print; there is {', '.join(known)}")
    return _shown(asked.strip(), arrays[name], match["at"])


def _shown(name: str, array: Array, at: str | None) -> str:
    if at is not None:
        place = tuple(whole_number(number.strip()) for number in at.split(","))
        if len(place) > array.ndim or any(n >= size for n, size in zip(place, array.shape, strict=False)):
            raise MinilmError(f"{name} is outside of its shape {array.shape}")
        array = np.asarray(array[place])
    with np.printoptions(precision=4, threshold=64, linewidth=96):
        return f"{name}  shape {array.shape}\n{array}"
