"""`print ANYTHING` of minilm debug train: a name of conditions, a parameter or its gradient, the batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

from minilm.cli.debug_loop import whole_number
from minilm.cli.train_moves import TrainDesk
from minilm.errors import MinilmError
from minilm.faces.layout import clip
from minilm.records import Array
from minilm.training.stops import NAMES

__all__ = ["printed"]

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
