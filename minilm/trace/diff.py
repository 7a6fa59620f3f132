"""Finds where two runs differ: the first step, the first stage within it, and by how much.

The facts of two steps are compared in the order in which a step is made, so the first difference is the
cause of the others. After the first different token the two contexts differ, and the comparison ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from numbers import Integral, Real
from typing import Any

import numpy as np

from minilm.difference import scale_difference
from minilm.records import Candidate, Decision, Embedding, StageEffect, Step
from minilm.trace.audit.distributions import temperature
from minilm.trace.reader import Trace

__all__ = ["TraceDifference", "diff", "facts_differ", "first_difference"]

_ASKED = ("prompt_ids", "vocab_size", "stages", "seed", "branch", "max_tokens", "stop", "eos_ids", "top")


@dataclass(frozen=True, slots=True)
class TraceDifference:
    """The first thing within a step in which two runs differ.

    Attributes:
        index: Index of the step; None for what was asked of the run.
        place: A stage, "the model", "the draw" and so on.
        what: Which fact of it.
        left: The value in the first run.
        right: The value in the second run.
        by: How much the values differ, where both are finite numbers.
        chosen: The two chosen tokens of the step, where they differ.
        margins: How far each draw fell from the end of its interval; None where nothing was drawn.
    """

    index: int | None
    place: str
    what: str
    left: Any
    right: Any
    by: float | None = None
    chosen: tuple[Candidate, Candidate] | None = None
    margins: tuple[float | None, float | None] = (None, None)

    def sentence(self, left: str = "the first run", right: str = "the second") -> str:
        """Return the difference as a sentence.

        >>> TraceDifference(2, "TopK(9)", "survivors", 8, 9, 1.0).sentence("yours", "the reference")
        'Step 3 differs at TopK(9), survivors: yours 8, the reference 9 (difference 1)'

        Args:
            left: What to call the first run.
            right: What to call the second run.
        """
        where = "What was asked differs" if self.index is None else f"Step {self.index + 1} differs"
        values = f"{left} {_spell(self.left)}, {right} {_spell(self.right)}"
        distance = "" if self.by is None else f" (difference {self.by:.3g})"
        return (
            f"{where} at {_printable(self.place)}, {self.what}: {values}{distance}{self._tokens(left, right)}"
        )

    def _tokens(self, left: str, right: str) -> str:
        if self.chosen is None:
            return ""
        a, b = self.chosen
        text = f"; the texts differ from here on: {a.text!r} {a.id} and {b.text!r} {b.id}"
        known = [(m, name) for m, name in zip(self.margins, (left, right), strict=True) if m is not None]
        if not known:
            return text
        margin, name = min(known)
        return f"{text}; the draw of {name} fell {margin:.2g} from the end of its interval"


def diff(left: Trace, right: Trace, tolerance: float = 1e-5) -> Iterator[TraceDifference]:
    """Yield what was asked differently, then the first difference of every step, until the texts differ.

    Args:
        left: The first run.
        right: The second run.
        tolerance: How much two measured numbers may differ, times max(1, the larger one).
    """
    for name in _ASKED:
        a, b = left.start.get(name), right.start.get(name)
        if a != b:
            yield TraceDifference(None, "the start", name, a, b)
    for a, b in zip(left.steps, right.steps, strict=False):
        found = first_difference(a, b, tolerance)
        if found:
            yield found
        if found and found.chosen:
            return
    sizes = len(left.steps), len(right.steps)
    if min(sizes) < max(sizes):
        longer = left if sizes[0] > sizes[1] else right
        yield TraceDifference(longer.steps[min(sizes)].index, "the end", "number of steps", *sizes)


def first_difference(left: Step, right: Step, tolerance: float = 1e-5) -> TraceDifference | None:
    """Return the first thing in which two steps differ, or None. Its index is that of the right step."""
    a, b = left.decision, right.decision
    tokens = (a.chosen, b.chosen) if a.chosen.id != b.chosen.id else None
    for place, what, x, y in _facts(left, right):
        if facts_differ(x, y, tolerance):
            distance = abs(float(x) - float(y)) if _are_measured(x, y) else math.inf
            by = distance if math.isfinite(distance) else None
            margins = (a.margin, b.margin) if tokens else (None, None)
            return TraceDifference(right.index, place, what, x, y, by, tokens, margins)
    return None


def _are_measured(x: Any, y: Any) -> bool:
    """Return True where both are numbers, and at least one of them was measured and not counted."""
    both = isinstance(x, Real) and isinstance(y, Real)
    return both and not (isinstance(x, Integral) and isinstance(y, Integral))


def facts_differ(x: Any, y: Any, tolerance: float) -> bool:
    """Return True where two facts differ: measured numbers by more than the tolerance, others at all.

    Args:
        x: A number, a text, a record, or None.
        y: The same fact of the other run.
        tolerance: For measured, finite numbers, times max(1, the larger one).
    """
    if not _are_measured(x, y) or x == y or not (math.isfinite(x) and math.isfinite(y)):
        return bool(x != y)
    return scale_difference(abs(float(x) - float(y)), max(abs(x), abs(y))) > tolerance


def _spell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "none" if value is None else _printable(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _printable(text: str) -> str:
    """Return a text as it is, or in quotes where it is empty or has characters that would break its line."""
    return text if text and text.isprintable() else repr(text)


_Fact = tuple[str, str, Any, Any]


def _facts(a: Step, b: Step) -> Iterator[_Fact]:
    """Yield every fact of two steps in the order in which a step is made: place, fact, and its two values."""
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


def _embeddings(a: Embedding, b: Embedding) -> Iterator[_Fact]:
    for name in ("shape", "norm", "cosine"):
        yield "the embedding", name, getattr(a, name), getattr(b, name)
    if a.vector.shape == b.vector.shape and a.vector.size:
        furthest = int(np.argmax(np.abs(a.vector - b.vector)))
        yield "the embedding", f"vector[{furthest}]", float(a.vector[furthest]), float(b.vector[furthest])


def _answers(a: Decision, b: Decision) -> Iterator[_Fact]:
    for name in ("entropy", "k_used", "mass_used"):
        yield "the model", name, getattr(a.raw, name), getattr(b.raw, name)
    for x, y in _common(a.candidates, b.candidates):
        for name in ("logit", "rank", "p_model", "logp_model"):
            yield "the model", f"{name} of {x.text!r} {x.id}", getattr(x, name), getattr(y, name)


def _stages(a: Decision, b: Decision) -> Iterator[_Fact]:
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


def _finals(a: Decision, b: Decision) -> Iterator[_Fact]:
    for x, y in _common(a.candidates, b.candidates):
        yield "the final distribution", f"p of {x.text!r} {x.id}", x.p_final, y.p_final
        yield "the final distribution", f"what removed {x.text!r} {x.id}", _remover(x), _remover(y)
    yield "the final distribution", "survivors", a.survivors, b.survivors
    for name in ("entropy", "k_used", "mass_used"):
        yield "the final distribution", name, getattr(a.final, name), getattr(b.final, name)


def _choices(a: Decision, b: Decision) -> Iterator[_Fact]:
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
