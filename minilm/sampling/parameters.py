"""One number of a pipeline turned, and the token that a pipeline takes: what a sweep and a margin need.

No ledger is kept here; decide.py keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace

import numpy as np

from minilm.errors import MinilmError
from minilm.records import Array
from minilm.sampling.dialects import DIALECTS
from minilm.sampling.ledger import Point, find_drawn, find_ends
from minilm.sampling.parsing import STAGES
from minilm.sampling.scores import Context, Scores
from minilm.sampling.stage import Stage, run
from minilm.sampling.stages.common import Greedy, Temperature

__all__ = ["choose", "fallen", "setting", "survivors", "turned"]


def choose(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> int:
    """The id that decide() would choose from logits (V,), without the ledger.

    >>> choose(np.array([0.0, 2.0]), Context(np.array([0])), [], None)
    1
    """
    scores = survivors(logits, context, stages)
    if u is None:
        return int(scores.ids[scores.values.argmax()])
    return int(fallen(scores, np.array([u]))[0])


def fallen(scores: Scores, draws: Array) -> Array:
    """The ids on which draws (D,) in [0, 1) fall, over the softmax of scores in ascending order of the ids.

    >>> fallen(Scores.of(np.zeros(4)), np.array([0.0, 0.3, 0.9])).tolist()
    [0, 1, 3]
    """
    return scores.ids[find_drawn(find_ends(Point.of(scores).p), draws)]


def survivors(logits: Array, context: Context, stages: Sequence[Stage]) -> Scores:
    """What the stages leave of logits (V,). Raises MinilmError where one leaves nothing."""
    *_, last = run(logits, context, stages)
    return last


def turned(stages: Sequence[Stage], name: str, value: float) -> tuple[Stage, ...]:
    """The stages with the first number of every stage of that name set to a value.

    Where there is none, one is put where the hf dialect has it: before the first stage that comes later
    there. Temperature 0 stands for Greedy(). Raises MinilmError for a name that has no number.

    >>> from minilm.sampling.stages.common import TopK
    >>> turned([TopK(40)], "Temperature", 0.5)
    (Temperature(0.5), TopK(40))
    """
    kind = _kind(name)
    if kind is Temperature and value == 0:
        return (*(stage for stage in stages if not isinstance(stage, Temperature)), Greedy())
    field = fields(kind)[0].name
    number = int(value) if fields(kind)[0].type == "int" and float(value).is_integer() else value
    if any(type(stage) is kind for stage in stages):
        return tuple(replace(s, **{field: number}) if type(s) is kind else s for s in stages)
    if any(more.default is MISSING for more in fields(kind)[1:]):
        raise MinilmError(f"{name} has several numbers, and no stage is one; write it into the stages first")
    order = DIALECTS["hf"]
    later = order[order.index(kind) + 1 :] if kind in order else ()
    place = next((n for n, stage in enumerate(stages) if type(stage) in later), len(stages))
    return (*stages[:place], kind(number), *stages[place:])  # type: ignore[call-arg]


def setting(stages: Sequence[Stage], name: str) -> float | None:
    """The first number of the first stage of that name; None where there is none."""
    kind = _kind(name)
    field = fields(kind)[0].name
    return next((float(getattr(stage, field)) for stage in stages if type(stage) is kind), None)


def _kind(name: str) -> type[Stage]:
    numbered = [n for n, kind in STAGES.items() if (f := fields(kind)) and f[0].type in ("int", "float")]
    if name not in numbered:
        raise MinilmError(f"A stage with a number is one of {', '.join(numbered)}, got {name!r}")
    return STAGES[name]
