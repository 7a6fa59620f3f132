"""Read what a student's function returns: the forms in which people write it, and a clear line for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minilm.comparison.student.variant import LETTERS
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["SwappedAxesError", "read_layer", "read_logits", "read_sequence", "read_step"]

_NAMES = {"hidden": "hidden", "h": "hidden", "hs": "hidden", "cell": "cell", "c": "cell", "cs": "cell"}

LAST_STATE = "the last state (h, c) that is returned beside the outputs"


class SwappedAxesError(MinilmError):
    """An answer has the time before the rows."""


ToArray = Callable[[Any], Array]


def read_step(answer: Any, shape: tuple[int, ...], array: ToArray) -> dict[str, Array]:
    """Return hidden and cell of what lstm_step returned, and its gates where it shows them.

    Args:
        answer: (h, c), [h, c], one array of both, (h, c, gates), (out, (h, c)) or {"h": h, "c": c}.
        shape: the shape of each, (H,) or (B, H).
        array: makes an array from a value of the student's framework.
    """
    if isinstance(answer, Mapping):
        parts = [answer[key] for key in ("h", "c") if key in answer] or list(answer.values())
    else:
        parts = _list_parts(answer)
    if len(parts) == 2 and isinstance(parts[1], tuple | list) and len(parts[1]) == 2:
        parts = list(parts[1])
    if len(parts) < 2:
        got = f"{len(parts)} value of type {type(answer).__name__}"
        raise MinilmError(f"lstm_step must return h, c; got {got}")
    found = {"hidden": parts[0], "cell": parts[1], **_find_gates(parts)}
    return {name: _read_array(name, value, shape, array) for name, value in found.items()}


def read_sequence(answer: Any, shape: tuple[int, int], array: ToArray, notes: list[str]) -> dict[str, Array]:
    """Return hidden, and cell and gates where they are shown, of what lstm returned.

    Args:
        answer: hidden (T, H) as an array or a list of T states; or a list of T pairs (h, c); or (hidden,
            cell), (hidden, cell, gates), (hidden, (h, c)), (hidden, h, c) or {"hidden": ...}.
        shape: (T, H).
        array: makes an array from a value of the student's framework.
        notes: gets a line where a part of the answer is not compared.
    """
    steps, size = shape
    if isinstance(answer, Mapping):
        found = {_NAMES[key]: value for key, value in answer.items() if key in _NAMES}
        if "hidden" not in found:
            keys = ", ".join(map(str, answer))
            raise MinilmError(f"lstm must return the hidden states; got a dict of {keys}")
        return {name: _read_array(name, value, shape, array) for name, value in found.items()}
    if not isinstance(answer, tuple | list):
        return {"hidden": _read_array("hidden", answer, shape, array)}
    parts = list(answer)
    if len(parts) in (steps, steps + 1):
        if all(isinstance(part, tuple | list) and len(part) == 2 for part in parts):
            pairs = zip(*parts, strict=True)
            return {
                name: _read_array(name, list(values), shape, array)
                for name, values in zip(("hidden", "cell"), pairs, strict=True)
            }
        return {"hidden": _read_array("hidden", parts, shape, array)}
    found = {"hidden": parts[0]}
    last = parts[1:]
    if len(last) == 1 and isinstance(last[0], tuple | list) and len(last[0]) == 2:
        last = list(last[0])
    sizes = [_count(part, array) for part in last if not isinstance(part, Mapping)]
    if sizes and all(count == size for count in sizes):
        notes.append(LAST_STATE)
    elif len(parts) > 1 and not isinstance(parts[1], Mapping):
        found["cell"] = parts[1]
    found |= _find_gates(parts)
    return {name: _read_array(name, value, shape, array) for name, value in found.items()}


def read_layer(
    answer: Any, shape: tuple[int, int, int], array: ToArray, notes: list[str]
) -> dict[str, Array]:
    """Return the outputs (B, T, H) of a layer.

    Args:
        answer: outputs, or (outputs, state) as nn.LSTM returns them.
        shape: (B, T, H).
        array: makes an array from a value of the student's framework.
        notes: gets a line where the last state is not compared.
    """
    parts = list(answer) if isinstance(answer, tuple | list) else [answer]
    if len(parts) == shape[1]:
        # A list with the outputs (B, H) of each step.
        found = np.stack([array(part) for part in parts], axis=1)
    else:
        found = array(parts[0])
        if len(parts) > 1:
            notes.append(LAST_STATE)
    if found.shape == (shape[0], shape[2]):
        raise MinilmError(
            f"the layer must answer {shape} for inputs {(*shape[:2], 'E')}, got {found.shape}: only the last "
            "step; return every step (return_sequences=True)"
        )
    if found.shape == (shape[1], shape[0], shape[2]) and shape[0] > 1:
        raise SwappedAxesError(
            f"the layer must answer (B, T, H) = {shape}, got {found.shape}; use transpose(0, 1), or "
            "batch_first=True"
        )
    return {"hidden": _read_array("hidden", found, shape, np.asarray)}


def read_logits(answer: Any, shape: tuple[int, int, int], array: ToArray) -> dict[str, Array]:
    """Return the logits (B, T, V) of a net.

    Args:
        answer: logits, (logits, ...), {"logits": ...} or an object with .logits.
        shape: (B, T, V).
        array: makes an array from a value of the student's framework.
    """
    if isinstance(answer, tuple | list):
        answer = answer[0]
    elif isinstance(answer, Mapping):
        answer = answer["logits"]
    answer = getattr(answer, "logits", answer)
    found = array(answer)
    if found.shape == (shape[1], shape[0], shape[2]) and shape[0] > 1:
        raise SwappedAxesError(
            f"the net must answer (B, T, V) = {shape}, got {found.shape}; use transpose(0, 1)"
        )
    if found.shape == (shape[0], shape[2]):
        raise MinilmError(f"the net must answer (B, T, V) = {shape}, got {found.shape}: only the last step")
    return {"logits": _read_array("logits", found, shape, np.asarray)}


def _list_parts(answer: Any) -> list[Any]:
    if isinstance(answer, tuple | list):
        return list(answer)
    # np.stack([h, c]) has h and c on its first axis.
    shape = getattr(answer, "shape", ())
    return [answer[0], answer[1]] if len(shape) > 1 and shape[0] == 2 else [answer]


def _find_gates(parts: list[Any]) -> dict[str, Any]:
    gates = parts[2] if len(parts) > 2 and isinstance(parts[2], Mapping) else {}
    return {letter: gates[letter] for letter in LETTERS if letter in gates}


def _count(value: Any, array: ToArray) -> int:
    try:
        return int(_to_array(value, array).size)
    except Exception:
        return -1


def _to_array(value: Any, array: ToArray) -> Array:
    """Return an array of a value, or of a list of values."""
    if isinstance(value, tuple | list):
        return np.stack([_to_array(part, array) for part in value])
    return array(value)


def _read_array(name: str, value: Any, shape: tuple[int, ...], array: ToArray) -> Array:
    """Return a value as an array of a shape; axes of size 1 may stand anywhere.

    >>> _read_array("hidden", [[[1.0], [2.0]]], (2,), np.asarray)
    array([1., 2.])
    """
    found = np.asarray(_to_array(value, array), np.float64)
    if [size for size in found.shape if size != 1] == [size for size in shape if size != 1]:
        return found.reshape(shape)
    hint = ""
    if len(shape) == 2 and found.shape[-1:] == shape[-1:] and found.size == (shape[0] + 1) * shape[1]:
        hint = ": leave out the state before the first step"
    elif len(shape) == 2 and found.size == shape[1]:
        hint = ": return the state of every step, not only the last"
    raise MinilmError(f"{name} must have shape {shape}, got {found.shape}{hint}")
