"""Two models in lockstep: the same context, stages and dice at every step, and how far their answers part.

The second reads what the first one chose, so that every step compares like with like; where it would have
chosen otherwise, the texts part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.generation import Cursor, start
from minilm.numerics import log_softmax
from minilm.protocols import LanguageModel, TextCodec
from minilm.records import Array, Step
from minilm.sampling import Greedy, Scores, Stage

__all__ = ["TwinStep", "TwinText", "TwinVerdict", "twin_run", "twin_texts", "twin_verdict"]


@dataclass(frozen=True, slots=True)
class TwinStep:
    """One step of both models; the first is the one that leads.

    ids, texts: what each chose; u: the draw, None for greedy; apart: the largest difference of two
    logits, at the id `at`; largest: the largest absolute logit of the first; kl: of the first's
    distribution from the second's, in nats; margin: how far the draw lay from the end of the first's
    interval (greedy: the two scores' distance there); reach: how far the second's ends, or scores, moved.
    """

    index: int
    position: int
    ids: tuple[int, int]
    texts: tuple[str, str]
    u: float | None
    apart: float
    at: int
    largest: float
    kl: float
    margin: float
    reach: float

    __repr__ = one_line

    @property
    def agree(self) -> bool:
        """Whether both chose the same token."""
        return self.ids[0] == self.ids[1]

    @property
    def scaled(self) -> float:
        """apart over max(1, largest): what a tolerance is held against; NaN counts as infinite."""
        return self.apart / max(1.0, self.largest) if self.apart == self.apart else float("inf")

    def explained(self, tolerance: float) -> bool:
        """Whether the choices differ by rounding alone: equal logits, and a margin within their reach."""
        return self.scaled <= tolerance and self.margin <= self.reach + 1e-12


@dataclass(frozen=True, slots=True)
class TwinVerdict:
    """Both models over all steps.

    agreement: share of steps with the same choice; apart, kl: the largest, and mean_kl the mean; first:
    the step at which the texts part, or None; explained: whether its margin explains that.
    """

    names: tuple[str, str]
    steps: int
    tolerance: float
    agreement: float
    apart: float
    kl: float
    mean_kl: float
    first: TwinStep | None
    explained: bool

    __repr__ = one_line

    @property
    def equal(self) -> bool:
        """Whether the texts are the same, or part by rounding alone."""
        return self.first is None or self.explained


def twin_run(
    models: Sequence[LanguageModel],
    codec: TextCodec,
    prompt: str | Sequence[int],
    stages: Sequence[Stage] | str = (),
    seed: int = 0,
    *,
    max_tokens: int | None = 40,
    eos_ids: Sequence[int] | None = None,
) -> Iterator[TwinStep]:
    """Step two models side by side until the first one's text ends, or the second's context is full.

    Raises MinilmError for other than two models, or two vocabularies.
    """
    if len(models) != 2 or models[0].vocab_size != models[1].vocab_size:
        sizes = " and ".join(str(model.vocab_size) for model in models)
        raise MinilmError(f"A twin run needs two models of one vocabulary, got sizes {sizes or 'of none'}")
    asked = {"max_tokens": max_tokens, "eos_ids": eos_ids, "top": 1}
    pair = [start(model, codec, prompt, stages, seed, **asked) for model in models]
    while max_tokens is None or pair[0].index < max_tokens:
        yield _compared(*pair)
        step, other = (cursor.peek() for cursor in pair)
        if step.finish or other.finish == "context":
            return
        pair = [cursor.after(step.decision.chosen.id) for cursor in pair]


def twin_verdict(
    steps: Iterable[TwinStep], names: tuple[str, str] = ("first", "second"), tolerance: float = 1e-5
) -> TwinVerdict:
    """The verdict over the steps of a twin run; tolerance: of a logit, times max(1, largest logit)."""
    listed = list(steps)
    if not listed:
        raise MinilmError("A twin run of no steps has no verdict; take at least one")
    first = next((step for step in listed if not step.agree), None)
    kls = [step.kl for step in listed]
    return TwinVerdict(
        names,
        len(listed),
        tolerance,
        sum(step.agree for step in listed) / len(listed),
        max(step.apart for step in listed),
        max(kls),
        sum(kls) / len(kls),
        first,
        first is not None and first.explained(tolerance),
    )


def _compared(one: Cursor, other: Cursor) -> TwinStep:
    steps = one.peek(), other.peek()
    logits = [cursor.reading.logits[-1].astype(np.float64) for cursor in (one, other)]
    finals = [_final(cursor) for cursor in (one, other)]
    decision = steps[0].decision
    ids = (decision.chosen.id, steps[1].decision.chosen.id)
    difference = np.zeros(len(logits[0]))
    np.subtract(*logits, out=difference, where=logits[0] != logits[1])  # -inf less -inf is no number
    difference = np.abs(difference)
    at = int(difference.argmax())
    largest = float(np.abs(logits[0][np.isfinite(logits[0])]).max())
    if decision.u is None:
        margin, reach = _gap(finals, ids)
    else:
        margin, reach = float(decision.margin or 0.0), _moved(finals, ids[0])
    texts = (decision.chosen.text, steps[1].decision.chosen.text)
    kl = _divergence(*(log_softmax(row) for row in logits))
    facts = (decision.u, float(difference[at]), at, largest, kl, margin, reach)
    return TwinStep(steps[0].index, steps[0].position, ids, texts, *facts)


def _final(cursor: Cursor) -> Array:
    """The scores (V,) that the draw falls on, -inf where removed; before Greedy, which leaves one alone."""
    scores = Scores.of(cursor.reading.logits[-1])
    for stage in cursor.settings.stages:
        if not isinstance(stage, Greedy):
            scores = stage(scores, cursor.context)
    row = np.full(cursor.model.vocab_size, -np.inf)
    row[scores.ids] = scores.values
    return row


def _moved(finals: Sequence[Array], chosen: int) -> float:
    """How far the ends of the chosen token's interval lie apart in the two cumulative distributions."""
    ends = [np.cumsum(np.exp(log_softmax(row))) for row in finals]
    low = abs(ends[0][chosen - 1] - ends[1][chosen - 1]) if chosen else 0.0
    return float(max(low, abs(ends[0][chosen] - ends[1][chosen])))


def _gap(finals: Sequence[Array], ids: tuple[int, int]) -> tuple[float, float]:
    """For greedy: the distance of the two choices in the first's scores, and how far it moved."""
    gaps = [float(row[ids[0]] - row[ids[1]]) for row in finals]
    return abs(gaps[0]), abs(gaps[0] - gaps[1])


def _divergence(one: Array, other: Array) -> float:
    """KL(one || other) in nats of two rows (V,) of log-probabilities; infinite where other has a 0."""
    there = one > -np.inf
    return max(0.0, float(np.sum(np.exp(one[there]) * (one[there] - other[there]))))


@dataclass(frozen=True, slots=True)
class TwinText:
    """What one model wrote beside the reference; parts_at: the first token that differs, from 0, or None."""

    backend: str
    reference: str
    text: str
    reference_text: str
    ids: tuple[int, ...]
    reference_ids: tuple[int, ...]

    @property
    def parts_at(self) -> int | None:
        """The index of the first generated token that differs, or None."""
        if self.ids == self.reference_ids:
            return None
        pairs = zip(self.ids, self.reference_ids, strict=False)
        shorter = min(len(self.ids), len(self.reference_ids))
        return next((index for index, (one, other) in enumerate(pairs) if one != other), shorter)


def twin_texts(
    models: Sequence[LanguageModel],
    codec: TextCodec,
    prompt: str,
    stages: str = "Temperature(0.8) TopK(40)",
    seed: int = 0,
    max_tokens: int = 40,
) -> Iterator[TwinText]:
    """Let every model write; each but the first is held beside the first."""
    reference: list[Step] = []
    for model in models:
        steps = list(start(model, codec, prompt, stages, seed, max_tokens=max_tokens).steps())
        if model is models[0]:
            reference = steps
            continue
        written = [_written(one) for one in (steps, reference)]
        (text, ids), (reference_text, reference_ids) = written
        yield TwinText(model.name, models[0].name, text, reference_text, ids, reference_ids)


def _written(steps: Sequence[Step]) -> tuple[str, tuple[int, ...]]:
    return "".join(step.new_text for step in steps), tuple(step.decision.chosen.id for step in steps)
