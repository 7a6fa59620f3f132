"""Reads stages as they are spelled everywhere: "Temperature(0.8) TopK(40)" to a tuple of stages.

Arguments are literals; nothing is evaluated.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import fields
from difflib import get_close_matches
from inspect import Signature, signature
from typing import Any

from minilm.errors import MinilmError
from minilm.sampling.constraints import stage as constraint
from minilm.sampling.stage import Stage
from minilm.sampling.stages import common, length, repetition, truncation, words

__all__ = ["STAGES", "parse", "spell"]

STAGES: dict[str, type[Stage]] = {
    name: getattr(module, name)
    for module in (common, truncation, repetition, words, length, constraint)
    for name in module.__all__
    if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), Stage)
}
del STAGES["Constraint"]
_LONGEST = 20_000
_NAME = re.compile(r"[\s,]*(?:([A-Za-z_]\w*)\s*\(|(\S))")


def parse(text: str) -> tuple[Stage, ...]:
    """The stages of a text, in order; separated by spaces or commas. Raises MinilmError.

    >>> parse("Temperature(0.8) TopK(40)")
    (Temperature(0.8), TopK(40))
    """
    if len(text) > _LONGEST:
        raise MinilmError(f"Stages may take {_LONGEST:,} characters, got {len(text):,}")
    found: list[Stage] = []
    position = 0
    while (match := _NAME.match(text, position)) is not None:
        if match[2]:
            raise MinilmError(f"A stage is written like TopK(40), got {text[match.start(2) :]!r}")
        start = match.start(1)
        position = _end_of_call(text, start)
        found.append(_stage(text[start:position]))
    return tuple(found)


def spell(pipeline: tuple[Stage, ...]) -> str:
    """The text of stages; parse() reads it back.

    >>> spell(parse("TopK(3),TopP(0.9)"))
    'TopK(3) TopP(0.9)'
    """
    return " ".join(repr(stage) for stage in pipeline)


class _Infinity(ast.NodeTransformer):
    """inf is how Python spells the number, though not a literal of its grammar."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float("inf")) if node.id == "inf" else node


def _end_of_call(text: str, start: int) -> int:
    """Just after the first closing bracket that makes text[start:] a whole expression."""
    end = start
    while (end := text.find(")", end) + 1) > 0:
        try:
            _tree(text[start:end])
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        return end
    what = (
        "What stands in the brackets is not understood" if ")" in text[start:] else "A bracket is not closed"
    )
    raise MinilmError(f"{what} in the stages {text[start:]!r:.80}; write them like TopK(40)")


def _tree(text: str) -> ast.expr:
    r"""An expression; Python would warn of a \d in a regular expression, though it leaves it as it stands."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _stage(text: str) -> Stage:
    call = _Infinity().visit(_tree(text))
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise MinilmError(f"A stage is written like TopK(40), got {text!r}")
    kind = STAGES.get(call.func.id)
    if kind is None:
        raise MinilmError(f"No stage is called {call.func.id}{_meant(call.func.id)}")
    told = {f.name for f in fields(kind) if f.repr}
    takes = Signature([p for p in signature(kind).parameters.values() if p.name in told])
    try:
        given = takes.bind(
            *(_literal(node, text) for node in call.args),
            **{k.arg or "**": _literal(k.value, text) for k in call.keywords},
        )
        return kind(*given.args, **given.kwargs)
    except MinilmError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        wanted = ", ".join(f"{p.name}: {p.annotation}" for p in takes.parameters.values()) or "nothing"
        raise MinilmError(f"The stage {text!r:.80} does not fit: {kind.__name__} takes {wanted}") from error


def _literal(node: ast.expr, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError) as error:
        odd = next((part for part in ast.walk(node) if isinstance(part, ast.Name)), node)
        raise MinilmError(
            f"The stage {text!r:.80} holds {ast.unparse(odd)!r:.40}; it may hold numbers, quoted texts, "
            "True, False and None, alone or in lists and dicts"
        ) from error


def _meant(name: str) -> str:
    lower = {known.lower(): known for known in STAGES}
    near = get_close_matches(name.lower(), lower, 1)
    return f"; is it {lower[near[0]]}?" if near else f"; there are {', '.join(STAGES)}"
