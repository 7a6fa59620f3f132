"""What a watched step says of its batch: every token with its loss, and the tokens that surprised most.

Ids become texts here, so that whoever shows it needs no tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array, TrainStep
from minilm.token_text import TokenTexts
from minilm.training.step import norm

__all__ = ["ArrayFacts", "TokenLoss", "batch_rows", "facts_of", "surprised"]


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """One target of a batch: where it stands, what it is, and its loss in nats.

    row and position: of the input that predicts it, from 0; id, text, bytes: the target; before: the text
    of what was read just before it.
    """

    row: int
    position: int
    id: int
    text: str
    bytes: bytes
    loss: float
    before: str


def batch_rows(step: TrainStep, codec: TextCodec, rows: int | None = None) -> list[list[TokenLoss]]:
    """The rows of the batch, every target that counts with its loss; all of them unless `rows` are asked for.

    Raises MinilmError for a step that was not watched.
    """
    _, targets = _watched(step)
    texts = TokenTexts(codec)
    return [
        [_token(step, codec, texts, row, int(at)) for at in np.flatnonzero(targets[row] >= 0)]
        for row in range(len(step.ids) if rows is None else min(rows, len(step.ids)))
    ]


def surprised(step: TrainStep, codec: TextCodec, most: int = 10) -> list[TokenLoss]:
    """The targets with the highest losses, the worst first; equal ones in the order of the batch.

    Raises MinilmError for a step that was not watched, and for fewer than 1.
    """
    if most < 1:
        raise MinilmError(f"The number of targets to show must be 1 or more, got {most}")
    losses, targets = _watched(step)
    order = np.argsort(-np.where(targets >= 0, losses, -np.inf).ravel(), kind="stable")
    worst: list[int] = order[: min(most, int((targets >= 0).sum()))].tolist()
    texts = TokenTexts(codec)
    return [_token(step, codec, texts, *divmod(place, losses.shape[1])) for place in worst]


def _watched(step: TrainStep) -> tuple[Array, Array]:
    """Losses and targets, both (B, T)."""
    if step.losses is None or step.targets is None:
        raise MinilmError(f"Step {step.index} was not watched, so it has no loss per token; watch it")
    return step.losses, step.targets


def _token(step: TrainStep, codec: TextCodec, texts: TokenTexts, row: int, at: int) -> TokenLoss:
    losses, targets = _watched(step)
    target = int(targets[row, at])
    before = codec.decode(step.ids[row, max(0, at - 7) : at + 1].tolist())
    return TokenLoss(row, at, target, *texts(target), float(losses[row, at]), before)


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """zeros: the share of entries that are exactly 0, for an embedding's gradient those of unread ids."""

    shape: tuple[int, ...]
    norm: float
    least: float
    greatest: float
    zeros: float


def facts_of(arrays: Mapping[str, Array]) -> dict[str, ArrayFacts]:
    """The facts of every array.

    >>> facts_of({"a": np.array([3.0, 0.0, -4.0, 0.0])})["a"]
    ArrayFacts(shape=(4,), norm=5.0, least=-4.0, greatest=3.0, zeros=0.5)
    """
    return {
        name: ArrayFacts(
            a.shape, norm(a), float(a.min()), float(a.max()), int(np.count_nonzero(a == 0)) / a.size
        )
        for name, a in arrays.items()
    }
