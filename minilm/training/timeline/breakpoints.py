"""Breakpoints of a training: `grad_norm > 5`, `loss rises 3 times`, `nan`, `token 'dragon' seen`.

The two phrases are other spellings of functions: rises('loss', 3) and seen('dragon'). All else is the
language of conditions.py over the names below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minilm import conditions
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import ParameterNorms, TrainStep
from minilm.token_text import ids_of

__all__ = ["FUNCTIONS", "NAMES", "speaks_of_nan", "training_breakpoint_holds", "training_breakpoint_of"]

NAMES: dict[str, tuple[str, Callable[[TrainStep], Any]]] = {
    "step": ("number of the step, from 1", lambda s: s.index),
    "loss": ("nats per token of its batch", lambda s: s.loss),
    "grad_norm": ("global norm of the gradient, before clipping", lambda s: s.gradient_norm),
    "update_norm": ("global norm of the update", lambda s: _global_norm(s, lambda norms: norms.update)),
    "weight_norm": ("global norm of all weights", lambda s: _global_norm(s, lambda norms: norms.weight)),
    "ratio": ("the largest update norm over weight norm of a parameter", lambda s: _largest_ratio(s)),
    "rate": ("the learning rate", lambda s: s.rate),
    "clip": ("what the gradients were multiplied by", lambda s: s.clip_factor),
    "clipped": ("whether they were clipped", lambda s: s.clip_factor < 1),
    "tokens": ("targets seen so far", lambda s: s.tokens),
    "nan": ("whether a number is not finite; the step is stopped before", lambda s: not _is_finite(s)),
}
"""The names of a condition: name -> (meaning, function that reads it from a step)."""

FUNCTIONS = {
    "rises": "rises('loss', 3), or loss rises 3 times: each of the last 3 steps was above the one before",
    "falls": "falls('loss', 3), or loss falls 3 times: each was below",
    "seen": "seen('dragon'), or token 'dragon' seen: the batch holds its ids; seen(17): this id",
    "gradient": "gradient('embedding'): the norm of one parameter's gradient",
    "update": "update('embedding'): of its update",
    "weight": "weight('embedding'): of the parameter itself",
}

# A quoted text, in which a backslash may stand before a quote.
_TEXT = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""

# One of the two phrases, or a quoted text: it is matched too, so that no phrase is found inside of one.
_PHRASE = re.compile(
    rf"\btoken\s+(?P<token>{_TEXT}|\d+)\s+seen\b|\b(?P<name>\w+)\s+(?P<way>rises|falls)\s+(?P<count>\d+)\s+times?\b"
    rf"|(?P<text>{_TEXT})"
)


def training_breakpoint_of(text: str, codec: TextCodec | None = None) -> Condition:
    """Read a condition on a training step.

    >>> training_breakpoint_of("grad_norm > 5 or loss rises 3 times").text
    'grad_norm > 5 or loss rises 3 times'

    Args:
        text: the condition.
        codec: the tokenizer, for conditions that name words.

    Raises:
        MinilmError: the text cannot be read; it names the part.
    """
    spelt = _PHRASE.sub(_as_function, text)
    condition = conditions.parse_condition(spelt, NAMES, FUNCTIONS)
    if codec is None and re.search(r"\bseen\s*\(\s*['\"]", spelt):
        raise MinilmError("A condition on a word needs a tokenizer; give the timeline its codec, or an id")
    return Condition(text, condition.test)


def _as_function(match: re.Match[str]) -> str:
    """Return the function that a phrase stands for; a quoted text stays as it is."""
    if match["token"]:
        return f"seen({match['token']})"
    return f"{match['way']}('{match['name']}', {match['count']})" if match["way"] else match["text"]


def speaks_of_nan(condition: Condition) -> bool:
    """Return True where a condition names nan, outside of quotes."""
    return re.search(r"\bnan\b", re.sub(_TEXT, "", condition.text)) is not None


def training_breakpoint_holds(
    condition: Condition, steps: Sequence[TrainStep], codec: TextCodec | None = None
) -> bool:
    """Return True where a condition holds at the last of these steps.

    Args:
        condition: from `training_breakpoint_of`.
        steps: the steps up to now, the oldest first.
        codec: the tokenizer, for conditions that name words.
    """

    def look_up(name: str, arguments: tuple[Any, ...]) -> Any:
        if name in NAMES:
            return NAMES[name][1](steps[-1])
        if name in ("rises", "falls"):
            return _goes_one_way(steps, arguments, 1 if name == "rises" else -1)
        if name == "seen":
            return _seen(steps[-1], arguments, codec)
        norms = steps[-1].norms or {}
        if len(arguments) != 1 or arguments[0] not in norms:
            raise MinilmError(f"{name} takes one of {', '.join(norms)}; got {list(arguments)}")
        return getattr(norms[arguments[0]], name)

    return condition(look_up)


def _goes_one_way(steps: Sequence[TrainStep], arguments: tuple[Any, ...], sign: int) -> bool:
    """Return True where a value rose (sign 1) or fell (-1) at each of the last n steps."""
    if len(arguments) != 2 or arguments[0] not in NAMES or not _is_count(arguments[1]):
        raise MinilmError(f"rises and falls take a name and a whole number from 1, got {list(arguments)}")
    name, times = arguments
    values = [NAMES[name][1](step) for step in steps[-times - 1 :]]
    if len(values) <= times or None in values:
        return False
    return all(sign * (b - a) > 0 for a, b in pairwise(values))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def _seen(step: TrainStep, arguments: tuple[Any, ...], codec: TextCodec | None) -> bool:
    """Return True where the batch holds an id, or all ids of a word in their order."""
    if len(arguments) != 1 or not isinstance(arguments[0], int | str):
        raise MinilmError(f"seen takes one quoted word or one id, got {list(arguments)}")
    wanted = arguments[0]
    if isinstance(wanted, int):
        return bool(
            (step.ids == wanted).any() or (step.targets is not None and (step.targets == wanted).any())
        )
    ids = list(ids_of(wanted, codec).ids) if codec else []
    return any(ids and _follow_one_another(ids, _ids_of_row(step, number)) for number in range(len(step.ids)))


def _ids_of_row(step: TrainStep, number: int) -> list[int]:
    """Return the inputs of a row and, in a watched step, its last target."""
    ids = step.ids[number].tolist()
    if step.targets is None:
        return ids
    # -1 stands for the target of padding, which is at the end of a row.
    kept = int(np.count_nonzero(step.targets[number] >= 0))
    return [*ids[:kept], *step.targets[number, kept - 1 : kept].tolist()]


def _follow_one_another(ids: list[int], row: list[int]) -> bool:
    """Return True where the row holds the ids in this order, with none between them."""
    return any(row[at : at + len(ids)] == ids for at in range(len(row) - len(ids) + 1))


def _global_norm(step: TrainStep, read: Callable[[ParameterNorms], float]) -> float | None:
    """Return the norm of all parameters together, from the norms that `read` takes; None if unwatched."""
    # |(a, b)| = sqrt(|a|^2 + |b|^2)
    return None if step.norms is None else math.hypot(*(read(norms) for norms in step.norms.values()))


def _largest_ratio(step: TrainStep) -> float | None:
    return None if step.norms is None else max(norms.ratio for norms in step.norms.values())


def _is_finite(step: TrainStep) -> bool:
    numbers = [step.loss, _global_norm(step, lambda n: n.gradient), _global_norm(step, lambda n: n.weight)]
    return all(number is None or math.isfinite(number) for number in numbers)
