"""Where two runs part: the first step, the first stage within it, and by what margin.

The facts of a step, in the order in which it is made, are in trace_facts.py. After the first other token the
contexts differ, and it ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from minilm.generation.trace_facts import facts
from minilm.generation.trace_reading import Trace
from minilm.records import Candidate, Step

__all__ = ["Difference", "diff", "differ", "first_difference"]

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
        start = f"{where} at {_printable(self.place)}, {self.what}: {left} {_said(self.left)}, {right} "
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
    sizes = len(left.steps), len(right.steps)
    if min(sizes) < max(sizes):
        longer = left if sizes[0] > sizes[1] else right
        yield Difference(longer.steps[min(sizes)].index, "the end", "number of steps", *sizes)


def first_difference(left: Step, right: Step, tolerance: float = 1e-5) -> Difference | None:
    """The first thing in which two steps differ, or None; its index is the right one's."""
    a, b = left.decision, right.decision
    parts = (a.chosen, b.chosen) if a.chosen.id != b.chosen.id else None
    for place, what, x, y in facts(left, right):
        if differ(x, y, tolerance):
            by = abs(float(x) - float(y)) if _measured(x, y) else math.inf
            margins = (a.margin, b.margin) if parts else (None, None)
            apart = by if math.isfinite(by) else None
            return Difference(right.index, place, what, x, y, apart, parts, margins)
    return None


def _measured(x: Any, y: Any) -> bool:
    """Whether both are numbers, and one of them was measured and not counted."""
    both = isinstance(x, Real) and isinstance(y, Real)
    return both and not (isinstance(x, Integral) and isinstance(y, Integral))


def differ(x: Any, y: Any, tolerance: float) -> bool:
    """Whether two facts differ: of two numbers, one of which is infinite or none at all, always."""
    if not _measured(x, y) or x == y or not (math.isfinite(x) and math.isfinite(y)):
        return bool(x != y)
    return abs(float(x) - float(y)) > tolerance * max(1.0, abs(x), abs(y))


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "none" if value is None else _printable(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _printable(text: str) -> str:
    """A text as it is, or quoted where it is empty or holds what would not stay on its line."""
    return text if text and text.isprintable() else repr(text)
