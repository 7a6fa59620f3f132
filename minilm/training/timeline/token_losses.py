"""The batch of a watched step: every token with its loss, and the tokens with the highest losses.

Ids become texts here, so that a face needs no tokenizer.
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
    """One target of a batch and its loss.

    Attributes:
        row: the row of the batch, from 0.
        position: the position of the input that predicts it, from 0.
        id: the target.
        text: its text.
        bytes: its bytes.
        loss: nats.
        before: the text that was read just before it.
    """

    row: int
    position: int
    id: int
    text: str
    bytes: bytes
    loss: float
    before: str


def batch_rows(step: TrainStep, codec: TextCodec, rows: int | None = None) -> list[list[TokenLoss]]:
    """Return the rows of the batch: every target that counts, with its loss.

    Args:
        step: a watched step.
        codec: the tokenizer.
        rows: how many rows; None for all.

    Raises:
        MinilmError: the step was not watched.
    """
    _, targets = _watched(step)
    texts = TokenTexts(codec)
    return [
        [_token(step, codec, texts, row, int(at)) for at in np.flatnonzero(targets[row] >= 0)]
        for row in range(len(step.ids) if rows is None else min(rows, len(step.ids)))
    ]


def surprised(step: TrainStep, codec: TextCodec, most: int = 10) -> list[TokenLoss]:
    """Return the targets with the highest losses, the highest first; equal ones in the order of the batch.

    Args:
        step: a watched step.
        codec: the tokenizer.
        most: how many, at least 1.

    Raises:
        MinilmError: the step was not watched, or `most` is below 1.
    """
    if most < 1:
        raise MinilmError(f"The number of targets to show must be 1 or more, got {most}")
    losses, targets = _watched(step)
    order = np.argsort(-np.where(targets >= 0, losses, -np.inf).ravel(), kind="stable")
    worst: list[int] = order[: min(most, int((targets >= 0).sum()))].tolist()
    texts = TokenTexts(codec)
    return [_token(step, codec, texts, *divmod(place, losses.shape[1])) for place in worst]


def _watched(step: TrainStep) -> tuple[Array, Array]:
    """Return losses and targets, both (B, T)."""
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
    """An array in a few numbers.

    Attributes:
        shape: its shape.
        norm: its Euclidean norm.
        least: its smallest entry.
        greatest: its largest entry.
        zeros: the share of entries that are exactly 0 (in the gradient of an embedding: ids not read).
    """

    shape: tuple[int, ...]
    norm: float
    least: float
    greatest: float
    zeros: float


def facts_of(arrays: Mapping[str, Array]) -> dict[str, ArrayFacts]:
    """Return the facts of every array, by its name.

    >>> facts_of({"a": np.array([3.0, 0.0, -4.0, 0.0])})["a"]
    ArrayFacts(shape=(4,), norm=5.0, least=-4.0, greatest=3.0, zeros=0.5)
    """
    return {
        name: ArrayFacts(
            a.shape, norm(a), float(a.min()), float(a.max()), int(np.count_nonzero(a == 0)) / a.size
        )
        for name, a in arrays.items()
    }
