"""The settings of a generation: everything but the model and the prompt."""

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
    """The settings that start() was given.

    Attributes:
        stages: The sampling pipeline; words in it are ids of the codec.
        seed: Seed of the dice.
        max_tokens: The most new tokens; None for no limit.
        stop: Strings that end the text as soon as it contains one.
        top: How many candidates a step records.
        watch: Ids to follow through every stage.
        eos_ids: Ids that end a text.
        inner: Names of arrays to ask the model for.
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
            raise MinilmError("A stop string must not be empty, because every text contains it")

    @cached_property
    def draws(self) -> bool:
        """True where a step needs a draw."""
        return throws_dice(self.stages)

    @cached_property
    def ending(self) -> tuple[Stage, ...]:
        """The stages that can say that a text must end."""
        return tuple(stage for stage in self.stages if type(stage).ending is not Stage.ending)


def throws_dice(stages: Sequence[Stage]) -> bool:
    """Return True where a pipeline needs a draw; a greedy stage leaves one token, so nothing is drawn.

    >>> throws_dice(parse("TopK(3)")), throws_dice(parse("TopK(3) Greedy()"))
    (True, False)
    """
    return not any(isinstance(stage, Greedy) for stage in stages)


def bind(stages: Sequence[Stage] | str, codec: TextCodec) -> tuple[Stage, ...]:
    """Return stages, or those in a text, with their words as ids of the codec."""
    pipeline = parse(stages) if isinstance(stages, str) else stages
    return tuple(stage.bind(codec) for stage in pipeline)
