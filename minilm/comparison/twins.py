"""The same prompt, stages and dice in several models: equal texts, or the token where they part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minilm.generation import start
from minilm.protocols import LanguageModel, TextCodec
from minilm.records import Step

__all__ = ["TwinText", "twin_texts"]


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
