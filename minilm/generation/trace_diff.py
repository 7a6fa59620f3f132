"""Where two runs part: the first step, the first stage within it, and by what margin.

Steps are compared in the order in which a step is made: what was read, its embedding, the model's answer,
every stage, the draw, the choice, the text. After the first other token the contexts differ, and it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from minilm.generation.trace_reading import Trace
from minilm.records import Candidate, Decision, Step

__all__ = ["Difference", "diff", "first_difference"]

_ASKED = ("prompt_ids", "vocab_size", "stages", "seed", "branch", "max_tokens", "stop", "eos_ids", "top")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing within a step in which two runs differ.

    index: the step's, None for what was asked of the run; place: a stage, "the model", "the draw" ...;
    what: which of its facts; left, right: the two values; by: their distance where both are numbers;
    chosen: the two tokens of the step where they differ; margins: how far each draw fell from the end of
    its interval, None where nothing was drawn.
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
        """The difference in words, the runs under the names given.

        >>> Difference(2, "TopK(9)", "survivors", 8, 9, 1.0).sentence("yours", "the reference")
        'Step 3 differs at TopK(9), survivors: yours 8, the reference 9 (apart by 1)'
        """
        where = "What was asked differs" if self.index is None else f"Step {self.index + 1} differs"
        apart = "" if self.by is None else f" (apart by {self.by:.3g})"
        start = f"{where} at {self.place}, {self.what}: {left} {_said(self.left)}, {right} "
        return f"{start}{_said(self.right)}{apart}{self._parting(left, right)}"

    def _parting(self, left: str, right: str) -> str:
        if self.chosen is None:
            return ""
        a, b = self.chosen
        text = f"; the texts part here: {a.text!r} {a.id} and {b.text!r} {b.id}"
        known = [(m, name) for m, name in zip(self.margins, (left, right), strict=True) if m is not None]
        if not known:
            return text
        margin, name = min(known)
        return f"{text}; the draw of {name} fell {margin:.2g} from the end of its interval"


def diff(left: Trace, right: Trace, tolerance: float = 1e-5) -> Iterator[Difference]:
    """What was asked differently, then for every step its first difference, until the texts part.

    tolerance: of numbers, times max(1, the larger one).
    """
    for name in _ASKED:
        a, b = left.start.get(name), right.start.get(name)
        if a != b:
            yield Difference(None, "the start", name, a, b)
    for a, b in zip(left.steps, right.steps, strict=False):
        found = first_difference(a, b, tolerance)
        if found:
            yield found
        if found and found.chosen:
            return
    if len(left.steps) != len(right.steps):
        last = min(len(left.steps), len(right.steps))
        yield Difference(last, "the end", "number of steps", len(left.steps), len(right.steps))


def first_difference(left: Step, right: Step, tolerance: float = 1e-5) -> Difference | None:
    """The first thing in which two steps differ, or None."""
    a, b = left.decision, right.decision
    parts = (a.chosen, b.chosen) if a.chosen.id != b.chosen.id else None
    for place, what, x, y in _facts(left, right):
        number = isinstance(x, float) and isinstance(y, float)
        by = abs(x - y) if number and x != y else None
        if (by > tolerance * max(1.0, abs(x), abs(y))) if by is not None else x != y:
            margins = (a.margin, b.margin) if parts else (None, None)
            return Difference(left.index, place, what, x, y, by, parts, margins)
    return None


def _facts(a: Step, b: Step) -> Iterator[tuple[str, str, Any, Any]]:
    """Place, fact, and its two values, in the order in which a step is made."""
    for name in ("index", "position", "id", "bytes"):
        yield "what was read", name, getattr(a, name), getattr(b, name)
    yield "the embedding", "shape", a.embedding.shape, b.embedding.shape
    yield "the embedding", "norm", a.embedding.norm, b.embedding.norm
    yield "the embedding", "cosine", a.embedding.cosine, b.embedding.cosine
    yield from _decisions(a.decision, b.decision)
    for name in ("new_text", "offset", "finish"):
        yield "the text", name, getattr(a, name), getattr(b, name)


def _decisions(a: Decision, b: Decision) -> Iterator[tuple[str, str, Any, Any]]:
    yield "the model", "entropy", a.raw.entropy, b.raw.entropy
    for x, y in _common(a.candidates, b.candidates):
        yield "the model", f"logit of {x.text!r} {x.id}", x.logit, y.logit
        yield "the model", f"rank of {x.text!r} {x.id}", x.rank, y.rank
    for x, y in zip_longest(a.stages, b.stages):
        if x is None or y is None or x.stage != y.stage:
            yield "the stages", "next one", _label(x), _label(y)
            continue
        yield x.stage, "survivors", x.survivors, y.survivors
        yield x.stage, "mass kept", x.mass_kept, y.mass_kept
        yield x.stage, "entropy", x.entropy, y.entropy
    for x, y in _common(a.candidates, b.candidates):
        yield "the final distribution", f"p of {x.text!r} {x.id}", x.p_final, y.p_final
    yield "the draw", "u", a.u, b.u
    yield "the choice", "forced", a.forced, b.forced
    yield "the choice", "id", a.chosen.id, b.chosen.id


def _common(a: Sequence[Candidate], b: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    others = {c.id: c for c in b}
    return [(c, others[c.id]) for c in a if c.id in others]


def _label(effect: Any) -> str | None:
    return None if effect is None else effect.stage


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "none" if value is None else str(value) if isinstance(value, str | int) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
