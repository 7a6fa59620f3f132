"""The facts by which two steps are compared, in the order in which a step is made.

What was read, its embedding, the model's answer, every stage, the draw, the choice, the text. Left out is
what only speaks of these numbers: reason, note, why a token was removed, how near a cut was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from minilm.generation.trace_numbers import temperature
from minilm.records import Candidate, Decision, Embedding, StageEffect, Step

__all__ = ["facts"]

Fact = tuple[str, str, Any, Any]


def facts(a: Step, b: Step) -> Iterator[Fact]:
    """Place, fact, and its two values."""
    for name in ("index", "position", "id", "text", "bytes"):
        yield "what was read", name, getattr(a, name), getattr(b, name)
    yield from _embeddings(a.embedding, b.embedding)
    yield from _answers(a.decision, b.decision)
    yield from _stages(a.decision, b.decision)
    yield from _finals(a.decision, b.decision)
    yield "the draw", "branch", a.branch, b.branch
    yield from _choices(a.decision, b.decision)
    for x, y in _common(a.decision.candidates, b.decision.candidates):
        yield "the text", f"text of {y.id}", x.text, y.text
        yield "the text", f"bytes of {y.id}", x.bytes, y.bytes
    for name in ("new_text", "offset", "finish"):
        yield "the text", name, getattr(a, name), getattr(b, name)


def _embeddings(a: Embedding, b: Embedding) -> Iterator[Fact]:
    for name in ("shape", "norm", "cosine"):
        yield "the embedding", name, getattr(a, name), getattr(b, name)
    if a.vector.shape == b.vector.shape and a.vector.size:
        furthest = int(np.argmax(np.abs(a.vector - b.vector)))
        yield "the embedding", f"vector[{furthest}]", float(a.vector[furthest]), float(b.vector[furthest])


def _answers(a: Decision, b: Decision) -> Iterator[Fact]:
    for name in ("entropy", "k_used", "mass_used"):
        yield "the model", name, getattr(a.raw, name), getattr(b.raw, name)
    for x, y in _common(a.candidates, b.candidates):
        for name in ("logit", "rank", "p_model", "logp_model"):
            yield "the model", f"{name} of {x.text!r} {x.id}", getattr(x, name), getattr(y, name)


def _stages(a: Decision, b: Decision) -> Iterator[Fact]:
    same = a.chosen.id == b.chosen.id
    for x, y in zip_longest(a.stages, b.stages):
        if x is None or y is None or x.stage != y.stage:
            yield "the stages", "next one", _label(x), _label(y)
            continue
        yield x.stage, "survivors", x.survivors, y.survivors
        yield x.stage, "mass kept", x.mass_kept, y.mass_kept
        yield x.stage, "entropy", x.entropy, y.entropy
        if same:
            yield x.stage, "change of the chosen token", x.chosen, y.chosen
        for i in x.watched.keys() & y.watched.keys():
            yield x.stage, f"change of the watched {i}", x.watched[i], y.watched[i]
    labels = [effect.stage for effect in b.stages if temperature(effect.stage) is not None]
    for x, y in _common(a.candidates, b.candidates):
        yield (
            labels[0] if labels else "the model",
            f"p_tempered of {x.text!r} {x.id}",
            x.p_tempered,
            y.p_tempered,
        )


def _finals(a: Decision, b: Decision) -> Iterator[Fact]:
    for x, y in _common(a.candidates, b.candidates):
        yield "the final distribution", f"p of {x.text!r} {x.id}", x.p_final, y.p_final
        yield "the final distribution", f"what removed {x.text!r} {x.id}", _remover(x), _remover(y)
    yield "the final distribution", "survivors", a.survivors, b.survivors
    for name in ("entropy", "k_used", "mass_used"):
        yield "the final distribution", name, getattr(a.final, name), getattr(b.final, name)


def _choices(a: Decision, b: Decision) -> Iterator[Fact]:
    yield "the draw", "u", a.u, b.u
    yield "the choice", "forced", a.forced, b.forced
    yield "the choice", "id", a.chosen.id, b.chosen.id
    if a.chosen.id != b.chosen.id:
        return
    for name in ("logit", "rank", "p_model", "logp_model", "p_tempered", "p_final", "text", "bytes"):
        yield "the choice", name, getattr(a.chosen, name), getattr(b.chosen, name)
    for place, end in enumerate(("low", "high")):
        yield "the choice", end, a.interval and a.interval[place], b.interval and b.interval[place]
    yield "the choice", "margin", a.margin, b.margin


def _common(a: Sequence[Candidate], b: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    others = {c.id: c for c in b}
    return [(c, others[c.id]) for c in a if c.id in others]


def _label(effect: StageEffect | None) -> str | None:
    return None if effect is None else effect.stage


def _remover(candidate: Candidate) -> str | None:
    return candidate.removed_by and candidate.removed_by.stage
