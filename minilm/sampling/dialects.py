"""The order of the stages in Hugging Face transformers, llama.cpp and the OpenAI API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minilm.errors import MinilmError
from minilm.sampling.constraints.stage import Choice, Grammar, JsonSchema, Regex
from minilm.sampling.stage import Stage
from minilm.sampling.stages.common import Greedy, MinP, Temperature, TopK, TopP
from minilm.sampling.stages.length import (
    ForcedBos,
    ForcedEos,
    LengthDecay,
    MinLength,
    MinNewTokens,
    Suppress,
    SuppressAtBegin,
)
from minilm.sampling.stages.repetition import Frequency, NoRepeatNgram, Presence, RepetitionPenalty
from minilm.sampling.stages.truncation import Epsilon, Eta, TopH, Typical
from minilm.sampling.stages.words import BadWords, Bias, SequenceBias

__all__ = ["DIALECTS", "PRESETS", "arrange"]

_CONSTRAINTS: tuple[type[Stage], ...] = (Choice, Regex, Grammar, JsonSchema)

DIALECTS: dict[str, tuple[type[Stage], ...]] = {
    "hf": (
        SequenceBias, Bias, RepetitionPenalty, NoRepeatNgram, BadWords, MinLength, MinNewTokens,
        *_CONSTRAINTS, ForcedBos, ForcedEos, LengthDecay, Suppress, SuppressAtBegin,
        Temperature, TopH, TopK, TopP, MinP, Typical, Epsilon, Eta, Greedy,
    ),
    "llama.cpp": (
        Bias, *_CONSTRAINTS, RepetitionPenalty, Frequency, Presence,
        TopK, Typical, TopP, MinP, Temperature, Greedy,
    ),
    "openai": (Bias, *_CONSTRAINTS, Presence, Frequency, Temperature, TopP, Greedy),
}  # fmt: skip

# Name -> stages, in the order of transformers.
PRESETS = {
    "greedy": "Greedy()",
    "balanced": "RepetitionPenalty(1.05) Temperature(0.7) TopP(0.8)",
    "reliable": "RepetitionPenalty(1.05) Temperature(0.3) TopP(0.7)",
    "creative": "Temperature(1.1) TopP(0.95)",
}

# The penalties of llama.cpp look at the last 64 ids of the whole context.
_WINDOW = 64


def arrange(stages: Sequence[Stage], dialect: str) -> tuple[Stage, ...]:
    """Return the stages in the order of a dialect; stages of one kind keep their order.

    Args:
        stages: The stages to sort.
        dialect: "hf", "llama.cpp" or "openai". In "llama.cpp" the penalties look at the last 64 ids, unless
            they say otherwise.

    Raises:
        MinilmError: The dialect is unknown, or it does not have one of the stages.

    >>> arrange([TopP(0.9), Temperature(0.8)], "hf"), arrange([Temperature(0.8), TopP(0.9)], "llama.cpp")
    ((Temperature(0.8), TopP(0.9)), (TopP(0.9), Temperature(0.8)))
    """
    if dialect not in DIALECTS:
        raise MinilmError(f"A dialect is one of {', '.join(DIALECTS)}, got {dialect!r}")
    order = DIALECTS[dialect]
    for stage in stages:
        if type(stage) not in order:
            raise MinilmError(
                f"The dialect {dialect} has no {type(stage).__name__}; write the order yourself"
            )
    if dialect == "llama.cpp":
        stages = [_limit_window(stage) for stage in stages]
    return tuple(sorted(stages, key=lambda stage: order.index(type(stage))))


def _limit_window(stage: Stage) -> Stage:
    looks_back = isinstance(stage, RepetitionPenalty | Frequency | Presence)
    return replace(stage, last=_WINDOW) if looks_back and stage.last is None else stage
