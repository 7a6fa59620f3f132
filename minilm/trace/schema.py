"""The JSON Schema of the lines of a trace, made from the records, so that the two always agree.

The meaning of every field and the bounds of its values are below. validate.py checks a line against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from minilm.records import Step

__all__ = ["BOUNDS", "MEANINGS", "SCHEMA", "trace_schema"]

SCHEMA = 1
"""The version that every line of a trace carries."""

_HEX = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}

_PLAIN: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    bytes: _HEX,
    NoneType: {"type": "null"},
    np.ndarray: {"type": "array", "items": {"type": "number"}},
}

# These may be -inf, which JSON writes as null.
_NULLABLE = ("Candidate.logit", "Candidate.logp_model")

# Older traces do not have these fields.
_LATER = ("StageEffect.cut", "Decision.fragile", "vocabulary.words")

_CLOSED: dict[str, Any] = {"additionalProperties": False}


@cache
def trace_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line of a trace, with a description of every field.

    >>> trace_schema()["$defs"]["Step"]["properties"]["offset"]["description"]
    'Where new_text begins in the generated text, in bytes of UTF-8.'
    """
    defs: dict[str, Any] = {}
    _record(Step, defs)
    ints, text = list[int], str
    start = {"model": text, "vocab_size": int, "prompt_ids": ints, "prompt": text, "stages": text}
    start |= {"seed": int, "top": int, "max_tokens": int | None, "stop": list[str]}
    start |= {"eos_ids": ints, "watch": ints, "branch": int}
    end = {"ids": ints, "text": text, "finish": str | None, "steps": int, "error": text}
    vocabulary = {"bytes": list[bytes], "names": Mapping[int, str], "words": Mapping[str, ints]}
    lines = [
        _line("start", _object("start", start, defs)),
        _line("vocabulary", _object("vocabulary", vocabulary, defs)),
        _line("end", _object("end", end, defs, optional=("error",))),
        {**defs["Step"], "required": ["schema", *defs["Step"]["required"]]},
    ]
    lines[-1]["properties"] = {"schema": {"const": SCHEMA}, **defs["Step"]["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of a minilm trace",
        "description": "The first line says what was asked; a run kept with its logits has its vocabulary "
        "next; then a line per generated token; the last says how it ended.",
        "oneOf": lines,
        "$defs": defs,
    }


def _line(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    properties = {"schema": {"const": SCHEMA}, kind: value}
    return {"type": "object", "properties": properties, "required": ["schema", kind]} | _CLOSED


def _record(record: type, defs: dict[str, Any]) -> dict[str, Any]:
    if record.__name__ not in defs:
        # Without localns, a field that is called bytes would hide the type.
        hints = get_type_hints(record, localns={})
        named = {f.name: hints[f.name] for f in fields(record)}
        defs[record.__name__] = _object(record.__name__, named, defs)
    return {"$ref": f"#/$defs/{record.__name__}"}


def _object(name: str, types: Mapping[str, Any], defs: dict[str, Any], optional: Any = ()) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for key, kind in types.items():
        place = f"{name}.{key}"
        value = _value(kind | None if place in _NULLABLE else kind, defs)
        properties[key] = {**value, "description": MEANINGS[place], **BOUNDS.get(place, {})}
    required = [key for key in types if key not in optional and f"{name}.{key}" not in _LATER]
    return {"type": "object", "properties": properties, "required": required} | _CLOSED


def _value(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, defs)
    origin, inside = get_origin(kind), get_args(kind)
    if origin is UnionType:
        plain = all(part in _PLAIN for part in inside)
        options = [_value(part, defs) for part in inside]
        return {"type": [o["type"] for o in options]} if plain else {"anyOf": options}
    if origin is tuple and Ellipsis not in inside:
        size = len(inside)
        return {"type": "array", "items": _value(inside[0], defs), "minItems": size, "maxItems": size}
    if origin in (tuple, list):
        return {"type": "array", "items": _value(inside[0], defs)}
    shown = {"pattern": "^[0-9]+$"} if inside[0] is int else {}
    return {"type": "object", "propertyNames": shown, "additionalProperties": _value(inside[1], defs)}


MEANINGS = {
    "Step.index": "Which generated token this is, from 0.",
    "Step.position": "Place of the token that was read, from 0, in prompt and generated text together.",
    "Step.id": "The token that was read: its number in the vocabulary.",
    "Step.text": "The token that was read, as text.",
    "Step.bytes": "The bytes that the token read adds to the text, hexadecimal; empty for a special token.",
    "Step.embedding": "The embedding of the token that was read.",
    "Step.decision": "How the next token was chosen.",
    "Step.new_text": "The text that the chosen token completes; empty inside a character.",
    "Step.offset": "Where new_text begins in the generated text, in bytes of UTF-8.",
    "Step.finish": "Why the text ends here: eos, stop, constraint, length or context; null where it goes on.",
    "Step.branch": "Whose dice were thrown; 0 is the main line.",
    "Embedding.shape": "Shape of the vector.",
    "Embedding.norm": "Euclidean norm of the vector.",
    "Embedding.vector": "The vector (E,).",
    "Embedding.cosine": "Cosine to the embedding that was read before; null for the first.",
    "Decision.candidates": "Tokens that could follow, best first by logit, the chosen one among them.",
    "Decision.stages": "The ledger: one row per sampling stage, in order.",
    "Decision.survivors": "Tokens left after the last stage.",
    "Decision.raw": "The model's own distribution.",
    "Decision.final": "The distribution after the last stage.",
    "Decision.u": "The draw in [0, 1); null where nothing was drawn.",
    "Decision.interval": "[low, high) of the chosen token on the cumulative final distribution in ascending "
    "id order; null where a forced token did not survive.",
    "Decision.margin": "Distance of the draw to the nearer end of the interval; null without a draw.",
    "Decision.chosen": "The token that was taken.",
    "Decision.reason": "Why it was taken, in a sentence.",
    "Decision.forced": "True where a person took the token, and not the draw.",
    "Decision.fragile": "True where changes of 1e-5 in the logits can choose another token.",
    "Candidate.id": "The token's number in the vocabulary.",
    "Candidate.text": "The token as text.",
    "Candidate.bytes": "The bytes that the token adds to the text, hexadecimal.",
    "Candidate.logit": "The model's score, float32; null for -inf.",
    "Candidate.p_model": "Probability as the model gave it: temperature 1, nothing applied.",
    "Candidate.logp_model": "Natural logarithm of p_model; null for -inf.",
    "Candidate.p_tempered": "Probability just after Temperature; p_model where there is none.",
    "Candidate.p_final": "Probability that the draw fell on; 0 where the token was removed.",
    "Candidate.rank": "Place over the whole vocabulary by logit, from 1.",
    "Candidate.removed_by": "What removed the token; null for a survivor.",
    "Removal.stage": "The stage that removed the token; model where its logit is -inf.",
    "Removal.why": "The number that failed.",
    "StageEffect.stage": "The stage as it is spelled everywhere.",
    "StageEffect.survivors": "Tokens that the stage left.",
    "StageEffect.mass_kept": "Share of the probability before the stage that its survivors held.",
    "StageEffect.entropy": "Entropy after the stage, in nats.",
    "StageEffect.chosen": "Change of the chosen token's log-probability; null where it is or gets removed.",
    "StageEffect.watched": "The same for every watched token, by its id.",
    "StageEffect.note": "What else the stage has to say of this step; null where nothing.",
    "StageEffect.cut": "How near the stage was to keeping other tokens: how far scores must move against "
    "each other for that, in nats (TopH: shares of the entropy); null where it compared none.",
    "Distribution.entropy": "Entropy over all survivors, in nats.",
    "Distribution.k_used": "Adaptive k: the fewest best tokens that hold 0.95, between 8 and 64.",
    "Distribution.mass_used": "The probability that those k tokens hold.",
    "start.model": "Name of the model.",
    "start.vocab_size": "Number of tokens V that the model scores.",
    "start.prompt_ids": "The ids of the prompt, as the model read them.",
    "start.prompt": "The prompt as text, without special tokens.",
    "start.stages": "The sampling stages, as they are spelled everywhere.",
    "start.seed": "Seed of the dice.",
    "start.top": "How many candidates each step shows.",
    "start.max_tokens": "The limit of new tokens; null without one.",
    "start.stop": "Strings that end the text.",
    "start.eos_ids": "Tokens that end the text.",
    "start.watch": "Tokens followed through every stage.",
    "start.branch": "Whose dice were thrown at the start.",
    "vocabulary.bytes": "The bytes of every token, hexadecimal, by id.",
    "vocabulary.names": "The names of the tokens without bytes, by id.",
    "vocabulary.words": "The ids of every word of the recorded stages, where they have words.",
    "end.ids": "The ids of all chosen tokens.",
    "end.text": "The whole generated text.",
    "end.finish": "Why the text ended; null where it was left before its end.",
    "end.steps": "How many steps were written.",
    "end.error": "What broke the run, where something did.",
}

# By rounding, a probability can be a little above 1.
_SHARE = {"minimum": 0, "maximum": 1.000001}

_COUNT = {"minimum": 0}

BOUNDS = {
    "Step.index": _COUNT,
    "Step.position": _COUNT,
    "Step.id": _COUNT,
    "Step.offset": _COUNT,
    "Step.branch": _COUNT,
    "Step.finish": {"enum": ["eos", "stop", "constraint", "length", "context", None]},
    "Embedding.norm": _COUNT,
    "Embedding.cosine": {"minimum": -1.000001, "maximum": 1.000001},
    "Decision.survivors": {"minimum": 1},
    "Decision.u": {"minimum": 0, "exclusiveMaximum": 1},
    "Candidate.id": _COUNT,
    "Candidate.rank": {"minimum": 1},
    "Candidate.p_model": _SHARE,
    "Candidate.p_tempered": _SHARE,
    "Candidate.p_final": _SHARE,
    "StageEffect.survivors": {"minimum": 1},
    "StageEffect.mass_kept": _SHARE,
    "StageEffect.entropy": _COUNT,
    "StageEffect.cut": _COUNT,
    "Distribution.entropy": _COUNT,
    "Distribution.k_used": {"minimum": 1},
    "Distribution.mass_used": _SHARE,
    "start.vocab_size": {"minimum": 1},
    "end.steps": _COUNT,
}
"""The limits of a value besides its type, in the words of JSON Schema."""
