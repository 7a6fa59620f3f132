"""Decides a recorded run again from its logits, with the same dice and other stages, and without its model.

The logits belong to the text that was recorded, so every step is decided after the recorded context. From
the first step that takes another token, the text would have been a different one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minilm.dice import draw
from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.generation.settings import throws_dice
from minilm.records import Array, Decision, Step
from minilm.sampling import Context, Stage, decide, parse
from minilm.sampling.sensitivity import Margins, find_margins
from minilm.token_text import TokenTexts
from minilm.trace.logits import logits_path, read_logits
from minilm.trace.reader import Trace, read_trace
from minilm.trace.vocabulary import TraceVocabulary

__all__ = ["Recording", "Replayed", "open_recording"]


@dataclass(frozen=True)
class Replayed:
    """A recorded step, and its decision made again.

    Attributes:
        step: The step as it was recorded.
        decision: What the stages of the replay decide from the same logits with the same draw.
    """

    step: Step
    decision: Decision

    @property
    def parts(self) -> bool:
        """True where the replay takes another token than the recorded one."""
        return self.decision.chosen.id != self.step.decision.chosen.id


@dataclass(frozen=True, eq=False)
class Recording:
    """A trace with its logits: everything that its decisions are made from.

    Attributes:
        trace: The trace.
        logits (steps, V): What the model answered at every step.
        vocabulary: The names of the tokens.
    """

    trace: Trace
    logits: Array
    vocabulary: TraceVocabulary = field(repr=False)

    __repr__ = one_line

    @cached_property
    def ids(self) -> Array:
        """All ids (n,): the prompt, then every chosen token."""
        chosen = [step.decision.chosen.id for step in self.trace.steps]
        return np.array([*self.trace.start["prompt_ids"], *chosen], dtype=np.int64)

    @cached_property
    def texts(self) -> TokenTexts:
        """Gives the text and the bytes of an id, from the vocabulary in the trace."""
        return TokenTexts(self.vocabulary)  # type: ignore[arg-type]

    def stages(self, index: int) -> tuple[Stage, ...]:
        """Return the stages of a recorded step, as its ledger names them."""
        return self.bind(" ".join(effect.stage for effect in self.trace.steps[index].decision.stages))

    def bind(self, stages: Sequence[Stage] | str) -> tuple[Stage, ...]:
        """Return stages, or those in a text, ready for a replay.

        Raises:
            NoTokenizer: A stage has words that the recorded stages do not have, or is a constraint.
        """
        pipeline = parse(stages) if isinstance(stages, str) else stages
        return tuple(map(self.vocabulary.bind, pipeline))

    def inputs(self, index: int, stages: Sequence[Stage]) -> tuple[Array, Context, float | None]:
        """Return what a recorded step is decided from: logits (V,), context, and the recorded draw.

        The draw is None where these stages need none.
        """
        step, start = self.trace.steps[index], self.trace.start
        ids = self.ids[: step.position + 1]
        context = Context(ids, step.position + 1 - step.index, tuple(start["eos_ids"]), start["max_tokens"])
        u = step.decision.u
        # A greedy run threw no dice; other stages throw those of its seed.
        if u is None:
            u = draw(start["seed"], step.position, step.branch)
        return self.logits[index], context, u if throws_dice(stages) else None

    def decide(self, index: int, stages: Sequence[Stage]) -> Decision:
        """Return what these stages decide at a recorded step; a token that was forced is forced again."""
        old, start = self.trace.steps[index].decision, self.trace.start
        logits, context, u = self.inputs(index, stages)
        forced = old.chosen.id if old.forced else None
        facts: dict[str, Any] = {"top": max(start["top"], 1), "watch": start["watch"], "forced": forced}
        return decide(logits, context, stages, u, self.texts, **facts)

    def replay(self, stages: Sequence[Stage] | str | None = None) -> Iterator[Replayed]:
        """Yield every recorded step, decided again.

        Args:
            stages: Other stages; None for those that each step was recorded with.
        """
        other = None if stages is None else self.bind(stages)
        for index, step in enumerate(self.trace.steps):
            pipeline = self.stages(index) if other is None else other
            yield Replayed(step, self.decide(index, pipeline))

    def margins(self, index: int) -> Margins:
        """Return how near a recorded step was to another token."""
        stages = self.stages(index)
        logits, context, u = self.inputs(index, stages)
        return find_margins(logits, context, stages, u)


def open_recording(path: str | Path) -> Recording:
    """Open a trace and the logits beside it.

    Args:
        path: The trace.

    Raises:
        MinilmError: One of the files is missing or damaged, or the logits belong to another run.
    """
    trace = read_trace(path)
    if not trace.start:
        raise MinilmError(f"Trace {path} has no first line that says what was asked; record it again")
    if trace.vocabulary is None:
        raise MinilmError(
            f"Trace {path} has no line with its vocabulary, though it has logits; record it again"
        )
    size, prompt = trace.start["vocab_size"], trace.start["prompt_ids"]
    for index, step in enumerate(trace.steps):
        if step.index != index or step.position != len(prompt) - 1 + index:
            raise MinilmError(
                f"Trace {path} has a step out of order, step {index + 1}; minilm trace check says more"
            )
    chosen = [step.decision.chosen.id for step in trace.steps]
    if outside := [i for i in (*prompt, *chosen, *trace.start["watch"]) if not 0 <= i < size]:
        raise MinilmError(f"Trace {path} names id {outside[0]}, and its vocabulary has {size}; it is damaged")
    logits = read_logits(logits_path(path), size, len(trace.steps))
    for step, row in zip(trace.steps, logits, strict=False):
        if any(row[c.id] != c.logit for c in step.decision.candidates if c.id < size):
            raise MinilmError(
                f"Logits {logits_path(path)} are those of another run: at step {step.index + 1} they are not "
                "the ones in the trace"
            )
    return Recording(trace, logits, TraceVocabulary(trace.vocabulary))
