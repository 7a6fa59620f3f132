"""Read stages from a text, "Temperature(0.8) TopK(40)", and write them as one.

Arguments are Python literals (numbers, quoted texts, lists, dictionaries). Nothing is evaluated as code.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import MISSING, fields
from difflib import get_close_matches
from inspect import Signature, signature
from typing import Any

from minilm.errors import MinilmError
from minilm.sampling.constraints import stage as constraint
from minilm.sampling.stage import Stage
from minilm.sampling.stages import common, length, repetition, truncation, words

__all__ = ["EXAMPLES", "STAGES", "describe_usage", "parse", "spell"]

STAGES: dict[str, type[Stage]] = {
    name: getattr(module, name)
    for module in (common, truncation, repetition, words, length, constraint)
    for name in module.__all__
    if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), Stage)
}
del STAGES["Constraint"]
"""Every stage that can be written, by its name."""

EXAMPLES = (
    "Temperature(0.8)",
    "TopK(40)",
    "TopP(0.9)",
    "MinP(0.05)",
    "Greedy()",
    "RepetitionPenalty(1.1)",
    "Bias({' dog': 2, ' cat': -inf})",
    "Typical(0.95)",
    "TopH(0.4)",
    "Epsilon(0.001)",
    "Eta(0.001)",
    "Presence(0.5)",
    "Frequency(0.5)",
    "NoRepeatNgram(3)",
    "BadWords(['dog', 'cat'])",
    "SequenceBias({' a dog': 2})",
    "MinLength(20)",
    "MinNewTokens(10)",
    "LengthDecay(20, 1.1)",
    "Suppress([5, 6])",
    "SuppressAtBegin([5, 6])",
    "ForcedBos(2)",
    "ForcedEos(3)",
    "Choice(['yes', 'no'])",
    "Regex('[a-z]+')",
    'Grammar(\'start: "a" "b"\')',
    "JsonSchema({'type': 'integer'})",
)
"""A stage of every kind as it is written, the common ones first."""

_LONGEST = 20_000
_NAME = re.compile(r"[\s,]*(?:([A-Za-z_]\w*)\s*\(|(\S))")


def parse(text: str) -> tuple[Stage, ...]:
    """Return the stages that a text names, in order.

    Args:
        text: Stages as they are written, with spaces or commas between them.

    Raises:
        MinilmError: The text cannot be read; the message shows the place and how a stage is written.

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
        position = _find_end_of_call(text, start)
        found.append(_read_stage(text[start:position]))
    return tuple(found)


def spell(pipeline: tuple[Stage, ...]) -> str:
    """Return the text of stages; parse() reads it back.

    >>> spell(parse("TopK(3),TopP(0.9)"))
    'TopK(3) TopP(0.9)'
    """
    return " ".join(repr(stage) for stage in pipeline)


def describe_usage(stage: type[Stage]) -> str:
    """Return how a stage is written, with the default of each argument that has one.

    >>> describe_usage(STAGES["RepetitionPenalty"])
    'RepetitionPenalty(theta, last=None)'
    """
    shown = sorted((f for f in fields(stage) if f.repr), key=lambda f: bool(f.kw_only))
    said = [f.name if f.default is MISSING else f"{f.name}={f.default!r}" for f in shown]
    return f"{stage.__name__}({', '.join(said)})"


class _Infinity(ast.NodeTransformer):
    """Replace the name inf by the number: Python prints it so, but its grammar has no literal for it."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float("inf")) if node.id == "inf" else node


def _find_end_of_call(text: str, start: int) -> int:
    """Return the place behind the first closing bracket that makes text[start:] a whole expression."""
    end = start
    while (end := text.find(")", end) + 1) > 0:
        try:
            _read_expression(text[start:end])
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        return end
    what = "The text in the brackets is not understood" if ")" in text[start:] else "A bracket is not closed"
    raise MinilmError(f"{what} in the stages {text[start:]!r:.80}; write them like TopK(40)")


def _read_expression(text: str) -> ast.expr:
    """Return the expression of a text, without the warning that Python gives for a backslash in a pattern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _read_stage(text: str) -> Stage:
    call = _Infinity().visit(_read_expression(text))
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise MinilmError(f"A stage is written like TopK(40), got {text!r}")
    kind = STAGES.get(call.func.id)
    if kind is None:
        raise MinilmError(f"No stage is called {call.func.id}{_suggest(call.func.id)}")
    written = {f.name for f in fields(kind) if f.repr}
    takes = Signature([p for p in signature(kind).parameters.values() if p.name in written])
    try:
        given = takes.bind(
            *(_read_literal(node, text) for node in call.args),
            **{k.arg or "**": _read_literal(k.value, text) for k in call.keywords},
        )
        return kind(*given.args, **given.kwargs)
    except MinilmError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        example = next(example for example in EXAMPLES if example.startswith(f"{kind.__name__}("))
        raise MinilmError(
            f"The stage {text!r:.80} does not fit {describe_usage(kind)}; write it like {example}"
        ) from error


def _read_literal(node: ast.expr, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError) as error:
        odd = next((part for part in ast.walk(node) if isinstance(part, ast.Name)), node)
        raise MinilmError(
            f"The stage {text!r:.80} holds {ast.unparse(odd)!r:.40}; it may hold numbers, quoted texts, "
            "True, False and None, alone or in lists and dicts"
        ) from error


def _suggest(name: str) -> str:
    lower = {known.lower(): known for known in STAGES}
    near = get_close_matches(name.lower(), lower, 1)
    return f"; is it {lower[near[0]]}?" if near else f"; there are {', '.join(STAGES)}"
