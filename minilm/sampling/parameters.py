"""Read or set one number of a pipeline, such as its temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, replace

from minilm.errors import MinilmError
from minilm.sampling.dialects import DIALECTS
from minilm.sampling.parsing import STAGES
from minilm.sampling.stage import Stage
from minilm.sampling.stages.common import Greedy, Temperature

__all__ = ["get_number", "set_number"]


def get_number(stages: Sequence[Stage], name: str) -> float | None:
    """Return the first number of the first stage of that name, or None if there is none.

    >>> from minilm.sampling.stages.common import TopK
    >>> get_number([TopK(40)], "TopK"), get_number([TopK(40)], "TopP")
    (40.0, None)
    """
    kind = _find_kind(name)
    field = fields(kind)[0].name
    return next((float(getattr(stage, field)) for stage in stages if type(stage) is kind), None)


def set_number(stages: Sequence[Stage], name: str, value: float) -> tuple[Stage, ...]:
    """Return the stages with the first number of every stage of that name set to a value.

    Args:
        stages: The stages, in order.
        name: The stage's name. Where no stage has it, one is inserted before the first stage that comes later
            in the dialect "hf".
        value: The new number. Temperature 0 means Greedy().

    Raises:
        MinilmError: The name is not that of a stage with a number, or the stage refuses the value.

    >>> from minilm.sampling.stages.common import TopK
    >>> set_number([TopK(40)], "Temperature", 0.5)
    (Temperature(0.5), TopK(40))
    """
    kind = _find_kind(name)
    if kind is Temperature and value == 0:
        return (*(stage for stage in stages if not isinstance(stage, Temperature)), Greedy())
    field = fields(kind)[0].name
    number = int(value) if fields(kind)[0].type == "int" and float(value).is_integer() else value
    if any(type(stage) is kind for stage in stages):
        return tuple(replace(s, **{field: number}) if type(s) is kind else s for s in stages)
    if any(other.default is MISSING for other in fields(kind)[1:]):
        raise MinilmError(f"{name} has several numbers, and no stage is one; write it into the stages first")
    order = DIALECTS["hf"]
    later = order[order.index(kind) + 1 :] if kind in order else ()
    place = next((n for n, stage in enumerate(stages) if type(stage) in later), len(stages))
    return (*stages[:place], kind(number), *stages[place:])  # type: ignore[call-arg]


def _find_kind(name: str) -> type[Stage]:
    numbered = [n for n, kind in STAGES.items() if (f := fields(kind)) and f[0].type in ("int", "float")]
    if name not in numbered:
        raise MinilmError(f"A stage with a number is one of {', '.join(numbered)}, got {name!r}")
    return STAGES[name]
