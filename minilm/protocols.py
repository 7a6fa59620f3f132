"""What minilm asks of a model and of a tokenizer; nothing above the backends knows more.

A framework answers in NumPy: read these ids; give your gradients; what does the embedding owe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from minilm.records import Array, Gradients, ModelConfig, Reading

__all__ = [
    "Attributable",
    "Inspectable",
    "LanguageModel",
    "TextCodec",
    "TextDecoder",
    "Trainable",
]


@runtime_checkable
class LanguageModel(Protocol):
    """Anything that reads ids and answers with logits; enough for the whole generation debugger."""

    name: str
    vocab_size: int
    embedding_size: int
    context_size: int | None

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids after whatever `state` has read; rows is "last" or "all".

        In one part or in many the same numbers, to 1e-5 x max(1, largest logit). The old state stays
        usable. Ids out of range, no ids at all, or more than the context raise MinilmError.
        """
        ...


@runtime_checkable
class Inspectable(LanguageModel, Protocol):
    """A model whose two ends can be looked at."""

    def embedding_table(self) -> Array:
        """All embeddings, (V, E)."""
        ...

    def head(self) -> tuple[Array, Array | None]:
        """The output layer: (H, V) and its bias (V,) or None."""
        ...


@runtime_checkable
class Trainable(LanguageModel, Protocol):
    """A model that minilm's training loop can train; arrays by canonical name (see weights.py)."""

    config: ModelConfig

    def weights(self) -> Mapping[str, Array]:
        """Views of the weights, valid until the next update or restore."""
        ...

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Forward only: the loss of every target, (B, T) nats, 0 where masked out."""
        ...

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward over a batch.

        inputs, targets: (B, T) ids; mask: (B, T) of 0 and 1; dropout: one (B, T, H) mask per layer,
        already divided by the share kept, multiplied onto that layer's output; denominator: what the
        summed loss is divided by, the number of unmasked targets unless given.
        """
        ...

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One Adam step; clip bounds the global norm first. Returns the clip factor (1: not clipped)."""
        ...

    def snapshot(self) -> Mapping[str, Array]:
        """A value to go back to: copies of weights, moments (`adam.m.NAME`, `adam.v.NAME`), `adam.step`."""
        ...

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back; weights alone are enough, moments then start at 0."""
        ...


@runtime_checkable
class Attributable(LanguageModel, Protocol):
    """A model that can say what its embeddings owe to a prediction."""

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """The value (log-probability or logit of target, less that of against) and its gradient (T, E)."""
        ...


class TextDecoder(Protocol):
    """Turns ids into text as they come; never shows a replacement character too early."""

    def push(self, token_id: int) -> str:
        """The text that this id completes, often all of its own; "" inside a character."""
        ...

    def flush(self) -> str:
        """What is left at the end: replacement characters for bytes that never became a character."""
        ...

    def copy(self) -> TextDecoder:
        """An independent decoder at the same place."""
        ...


@runtime_checkable
class TextCodec(Protocol):
    """Text to ids and back. Text is never read as a special token."""

    special_ids: Mapping[str, int]
    vocab_size: int

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text; with special, begun as the model's own texts begin (BOS, where it has one)."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are left out."""
        ...

    def piece(self, token_id: int) -> str:
        """The token's string in the vocabulary."""
        ...

    def piece_bytes(self, token_id: int) -> bytes:
        """The bytes that the token adds to the text; empty for special tokens."""
        ...

    def stream(self) -> TextDecoder:
        """A decoder at the start of a text."""
        ...

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """The ids of a context with text added, tokenized as a whole, and how many of ids were kept."""
        ...

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """The ids of a conversation under the tokenizer's chat template; None where it has none."""
        ...
