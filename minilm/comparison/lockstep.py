"""Run two models in lockstep: the same context, stages and draws at every step, and how far they differ.

The second model reads what the first one chose, so that every step compares like with like. At a step where
it chooses another token by itself, the texts of two free runs would begin to differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.difference import absolute_difference, measure_difference, scale_difference
from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.generation import Cursor, start
from minilm.numerics import log_softmax, softmax
from minilm.protocols import LanguageModel, TextCodec
from minilm.records import Array
from minilm.sampling import Greedy, Scores, Stage
from minilm.sampling.ledger import find_ends, find_interval

__all__ = ["LockstepStep", "LockstepVerdict", "TextPair", "compare_texts", "judge_lockstep", "run_lockstep"]


@dataclass(frozen=True, slots=True)
class LockstepStep:
    """One step of both models; the first model leads.

    Attributes:
        index: the number of the step, from 0.
        position: the position of the id that was read.
        ids: the token that each model chose.
        texts: the texts of these tokens.
        u: the draw, in [0, 1); None for greedy.
        apart: the largest absolute difference of two logits.
        at: the id at which the logits differ most.
        largest: the largest absolute logit of the first model.
        kl: KL(first || second) of the models' own distributions, in nats.
        margin: how far the draw was from the nearer end of the first model's interval. For greedy: the
            difference of the two chosen tokens in the first model's scores.
        reach: how far the ends of that interval (for greedy: that difference) moved in the second model.
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
        """True where both models chose the same token."""
        return self.ids[0] == self.ids[1]

    @property
    def scaled(self) -> float:
        """The difference to compare with a tolerance (minilm.difference)."""
        return scale_difference(self.apart, self.largest)

    def explained(self, tolerance: float) -> bool:
        """Return True where rounding alone explains two choices: equal logits, and a margin within reach.

        Args:
            tolerance: the largest scaled difference of logits that counts as equal.
        """
        return self.scaled <= tolerance and self.margin <= self.reach + 1e-12


@dataclass(frozen=True, slots=True)
class LockstepVerdict:
    """Two models over all steps.

    Attributes:
        names: the names of the first and of the second model.
        steps: how many steps were compared.
        tolerance: the largest scaled difference of logits that counts as equal.
        agreement: the share of steps with the same choice.
        apart: the largest difference of two logits in any step.
        kl: the largest KL divergence, in nats.
        mean_kl: the mean KL divergence, in nats.
        first: the first step with two choices, or None.
        explained: True where rounding alone explains that step.
    """

    names: tuple[str, str]
    steps: int
    tolerance: float
    agreement: float
    apart: float
    kl: float
    mean_kl: float
    first: LockstepStep | None
    explained: bool

    __repr__ = one_line

    @property
    def equal(self) -> bool:
        """True where the texts are the same, or differ by rounding alone."""
        return self.first is None or self.explained


@dataclass(frozen=True, slots=True)
class TextPair:
    """The text that one backend wrote by itself, and the text of the reference.

    Attributes:
        backend: the name of the backend.
        reference: the name of the reference.
        text: the text of the backend.
        reference_text: the text of the reference.
        ids: the generated ids of the backend.
        reference_ids: the generated ids of the reference.
    """

    backend: str
    reference: str
    text: str
    reference_text: str
    ids: tuple[int, ...]
    reference_ids: tuple[int, ...]

    @property
    def parts_at(self) -> int | None:
        """The index of the first generated token that differs, from 0; None for equal texts."""
        if self.ids == self.reference_ids:
            return None
        pairs = enumerate(zip(self.ids, self.reference_ids, strict=False))
        shorter = min(len(self.ids), len(self.reference_ids))
        return next((index for index, (one, other) in pairs if one != other), shorter)


def run_lockstep(
    models: Sequence[LanguageModel],
    codec: TextCodec,
    prompt: str | Sequence[int],
    stages: Sequence[Stage] | str = (),
    seed: int = 0,
    *,
    max_tokens: int | None = 40,
    eos_ids: Sequence[int] | None = None,
) -> Iterator[LockstepStep]:
    """Step two models side by side until the first one's text ends, or the second's context is full.

    Args:
        models: two models of one vocabulary; the first one leads.
        codec: the tokenizer of both.
        prompt: a text, or ids.
        stages: the sampling stages, as values or as text.
        seed: the seed of the draws of both.
        max_tokens: the most steps; None for no limit.
        eos_ids: ids that end the text; those of the codec by default.

    Raises:
        MinilmError: for other than two models, or for two vocabularies.
    """
    if len(models) != 2 or models[0].vocab_size != models[1].vocab_size:
        sizes = " and ".join(str(model.vocab_size) for model in models)
        raise MinilmError(f"Lockstep needs two models of one vocabulary, got sizes {sizes or 'of none'}")
    limits = {"max_tokens": max_tokens, "eos_ids": eos_ids, "top": 1}
    pair = [start(model, codec, prompt, stages, seed, **limits) for model in models]
    while max_tokens is None or pair[0].index < max_tokens:
        yield _compare_step(*pair)
        step, other = (cursor.peek() for cursor in pair)
        if step.finish or other.finish == "context":
            return
        pair = [cursor.after(step.decision.chosen.id) for cursor in pair]


def compare_texts(
    models: Sequence[LanguageModel],
    codec: TextCodec,
    prompt: str,
    stages: str = "Temperature(0.8) TopK(40)",
    seed: int = 0,
    max_tokens: int = 40,
) -> Iterator[TextPair]:
    """Let every model write freely with the same draws, and pair each text with the first one's.

    Args:
        models: models of one vocabulary; the first is the reference.
        codec: the tokenizer of all.
        prompt: the text that all of them continue.
        stages: the sampling stages as text.
        seed: the seed of the draws.
        max_tokens: the most new tokens.
    """
    reference: tuple[str, tuple[int, ...]] = ("", ())
    for model in models:
        steps = list(start(model, codec, prompt, stages, seed, max_tokens=max_tokens).steps())
        text = "".join(step.new_text for step in steps)
        ids = tuple(step.decision.chosen.id for step in steps)
        if model is models[0]:
            reference = text, ids
        else:
            yield TextPair(model.name, models[0].name, text, reference[0], ids, reference[1])


def judge_lockstep(
    steps: Iterable[LockstepStep], names: tuple[str, str] = ("first", "second"), tolerance: float = 1e-5
) -> LockstepVerdict:
    """Return the verdict over the steps of two models.

    Args:
        steps: the records of run_lockstep, at least one.
        names: the names of the two models.
        tolerance: the largest scaled difference of logits that counts as equal.
    """
    records = list(steps)
    if not records:
        raise MinilmError("A run of no steps has no verdict; compare at least one step")
    first = next((step for step in records if not step.agree), None)
    kls = [step.kl for step in records]
    return LockstepVerdict(
        names,
        len(records),
        tolerance,
        agreement=sum(step.agree for step in records) / len(records),
        apart=max(step.apart for step in records),
        kl=max(kls),
        mean_kl=sum(kls) / len(kls),
        first=first,
        explained=first is not None and first.explained(tolerance),
    )


def _compare_step(one: Cursor, other: Cursor) -> LockstepStep:
    steps = one.peek(), other.peek()
    chosen = [step.decision.chosen for step in steps]
    ids, texts = (chosen[0].id, chosen[1].id), (chosen[0].text, chosen[1].text)
    logits = [cursor.reading.logits[-1].astype(np.float64) for cursor in (one, other)]  # (V,) each
    finals = [_final_scores(cursor) for cursor in (one, other)]
    difference = measure_difference(logits[1], logits[0])
    decision = steps[0].decision
    if decision.u is None:
        margin, reach = _margin_of_greedy(finals, ids)
    else:
        margin, reach = float(decision.margin or 0.0), _movement_of_interval(finals, ids[0])
    return LockstepStep(
        steps[0].index,
        steps[0].position,
        ids,
        texts,
        decision.u,
        apart=difference.apart,
        at=int(absolute_difference(logits[1], logits[0]).argmax()),
        largest=difference.largest,
        kl=_divergence(*(log_softmax(row) for row in logits)),
        margin=margin,
        reach=reach,
    )


def _final_scores(cursor: Cursor) -> Array:
    """Return the scores (V,) after the stages, -inf where a token was removed.

    Greedy is left out: it keeps one token, and then nothing shows how near the second one was.
    """
    scores = Scores.of(cursor.reading.logits[-1])
    for stage in cursor.settings.stages:
        if not isinstance(stage, Greedy):
            scores = stage(scores, cursor.context)
    row = np.full(cursor.model.vocab_size, -np.inf)
    row[scores.ids] = scores.values
    return row


def _movement_of_interval(finals: Sequence[Array], chosen: int) -> float:
    """Return how far the ends of the chosen token's interval move from one model to the other."""
    one, other = (find_interval(find_ends(softmax(row)), chosen) for row in finals)
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


def _margin_of_greedy(finals: Sequence[Array], ids: tuple[int, int]) -> tuple[float, float]:
    """Return the difference of the two choices in the first model's scores, and how far it moved."""
    gaps = [float(row[ids[0]] - row[ids[1]]) for row in finals]
    return abs(gaps[0]), abs(gaps[0] - gaps[1])


def _divergence(one: Array, other: Array) -> float:
    """Return KL(one || other) in nats of two rows (V,) of log-probabilities; infinite where other has a 0."""
    possible = one > -np.inf
    # KL(p || q) = sum p (log p - log q)
    return max(0.0, float(np.sum(np.exp(one[possible]) * (one[possible] - other[possible]))))
