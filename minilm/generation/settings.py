"""How a generation goes: everything but the model and the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.sampling import Greedy, Stage, parse

__all__ = ["Settings", "bind", "throws_dice"]


@dataclass(frozen=True)
class Settings:
    """What start() was told.

    stages: the sampling pipeline, bound to the codec; seed: of the dice; max_tokens: None for no
    limit; stop: strings that end the text once it holds one; top: candidates to record; watch: ids to
    follow through every stage; eos_ids: what ends a text; inner: arrays asked of the model.
    """

    stages: tuple[Stage, ...] = ()
    seed: int = 0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top: int = 10
    watch: tuple[int, ...] = ()
    eos_ids: tuple[int, ...] = ()
    inner: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 0:
            raise MinilmError(f"The number of new tokens must be 0 or more, got {self.max_tokens}")
        if self.top < 1:
            raise MinilmError(f"The number of candidates to show must be 1 or more, got {self.top}")
        if "" in self.stop:
            raise MinilmError("A stop string must not be empty: every text holds it")

    @cached_property
    def draws(self) -> bool:
        """Whether dice are thrown."""
        return throws_dice(self.stages)

    @cached_property
    def ending(self) -> tuple[Stage, ...]:
        """The stages that can say that a text must end."""
        return tuple(stage for stage in self.stages if type(stage).ending is not Stage.ending)


def throws_dice(stages: Sequence[Stage]) -> bool:
    """Whether a pipeline needs a draw: not where a greedy stage leaves one token.

    >>> throws_dice(parse("TopK(3)")), throws_dice(parse("TopK(3) Greedy()"))
    (True, False)
    """
    return not any(isinstance(stage, Greedy) for stage in stages)


def bind(stages: Sequence[Stage] | str, codec: TextCodec) -> tuple[Stage, ...]:
    """Stages, or their text, with their words resolved to ids of the codec."""
    pipeline = parse(stages) if isinstance(stages, str) else stages
    return tuple(stage.bind(codec) for stage in pipeline)
