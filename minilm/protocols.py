"""The protocols: what minilm asks of a model and of a tokenizer.

A framework answers a few questions in NumPy: read these ids; give your gradients; give the gradient at the
embeddings. No code above the backends knows more about a model than this file says.

Letters of shapes: B batch, T time, V vocabulary, E embedding, H hidden. Losses are in nats.
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
    """A model that reads ids and answers with logits. The whole generation debugger needs no more.

    Attributes:
        name: how the model is named in tables and messages.
        vocab_size: V, the number of token ids.
        embedding_size: E, the numbers in one token's embedding.
        context_size: how many ids the model can read in all; None where there is no limit.
    """

    name: str
    vocab_size: int
    embedding_size: int
    context_size: int | None

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids after what `state` has already read.

        A text that is read in several parts gives the same numbers as one that is read at once, to
        1e-5 x max(1, largest logit).

        Args:
            ids: (T,) the ids to read, at least one.
            state: the state of an earlier reading; it stays usable. None begins a new text.
            rows: "last" answers with the logits of the last token (1, V), "all" with those of every
                token (T, V).
            inner: names of inner arrays that the reading carries too, such as "gates.0".

        Raises:
            MinilmError: an id is outside the vocabulary, there is no id, or there are more than the context
                holds.
        """
        ...


@runtime_checkable
class Inspectable(LanguageModel, Protocol):
    """A model that shows its two ends: the embeddings and the output layer."""

    def embedding_table(self) -> Array:
        """Return all embeddings, (V, E)."""
        ...

    def head(self) -> tuple[Array, Array | None]:
        """Return the output layer: its kernel (H, V), and its bias (V,) or None."""
        ...


@runtime_checkable
class Trainable(LanguageModel, Protocol):
    """A model that minilm's training loop can train.

    Computing the gradients and applying them are two calls, so the loop can stop between them and look.
    Arrays go by name: canonical names (weights.py) for our LSTM, the framework's own names for another net.

    Attributes:
        config: the model's sizes, and the parameters of its optimizer.
    """

    config: ModelConfig

    def weights(self) -> Mapping[str, Array]:
        """Return read-only views of the weights by name. They hold until the next update or restore."""
        ...

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target, (B, T) nats, 0 where the mask is 0. Runs forward only.

        Args:
            inputs: (B, T) ids that the model reads.
            targets: (B, T) ids, the token that follows each input.
            mask: (B, T) of 1 where the target counts and 0 where it is padding.
        """
        ...

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Run forward and backward over a batch. The weights do not change.

        Args:
            inputs: (B, T) ids that the model reads.
            targets: (B, T) ids, the token that follows each input.
            mask: (B, T) of 1 where the target counts and 0 where it is padding.
            dropout: one mask (B, T, H) per layer, which is multiplied onto that layer's output. It is
                already divided by the share of units that are kept. None trains without dropout.
            denominator: number that the sum of the losses is divided by; None stands for the number of
                targets that count.
        """
        ...

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """Make one Adam step, and return the clip factor (1 where nothing was clipped).

        Args:
            gradients: from `gradients`, or a record with arrays of any origin.
            rate: the learning rate.
            clip: largest global norm of the gradients; they are scaled down to it before the step. None
                never clips.

        Raises:
            MinilmError: the norm is not finite, or `clip` is not above 0; nothing has changed then.
        """
        ...

    def snapshot(self) -> Mapping[str, Array]:
        """Return everything that training changes, as copies.

        These are the weights, Adam's moments (`adam.m.NAME` and `adam.v.NAME`) and its count of updates
        (`adam.step`).
        """
        ...

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a snapshot.

        Args:
            arrays: a snapshot, or the weights alone; the moments and the count then begin at 0.

        Raises:
            MinilmError: a weight is missing, has another shape or is not finite.
        """
        ...


@runtime_checkable
class Attributable(LanguageModel, Protocol):
    """A model that gives the gradient of a prediction at the embeddings that it read."""

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """Return a value of the prediction after `ids`, and its gradient at the embeddings, (T, E).

        Args:
            ids: (T,) the ids that are read, from the beginning of a text.
            target: the id whose value is taken.
            against: an id whose value is subtracted; None subtracts nothing.
            scale: number that all embeddings are multiplied by before they are read. The gradient is that
                at the multiplied embeddings.
            of: "logp" for the log-probability in nats, "logit" for the logit.

        Raises:
            MinilmError: an id is outside the vocabulary, or `of` is neither word.
        """
        ...


class TextDecoder(Protocol):
    """A decoder that turns ids into text one by one, and never cuts a character in two."""

    def push(self, token_id: int) -> str:
        """Return the text that this id completes; "" in the middle of a character."""
        ...

    def flush(self) -> str:
        """Return the rest at the end: a replacement character for bytes that never became a character."""
        ...

    def copy(self) -> TextDecoder:
        """Return an independent decoder at the same place."""
        ...


@runtime_checkable
class TextCodec(Protocol):
    """A tokenizer: from text to ids and back. Text is never read as a special token.

    Attributes:
        special_ids: name of a special token, such as "eos" -> its id.
        vocab_size: V, the number of token ids.
    """

    special_ids: Mapping[str, int]
    vocab_size: int

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: the text.
            special: True begins the ids as the model's own texts begin: with the BOS token, where it has one.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without the special tokens."""
        ...

    def piece(self, token_id: int) -> str:
        """Return the token's string in the vocabulary."""
        ...

    def piece_bytes(self, token_id: int) -> bytes:
        """Return the bytes that the token adds to the text; none for a special token."""
        ...

    def stream(self) -> TextDecoder:
        """Return a decoder at the beginning of a text."""
        ...

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """Add text to a context, and tokenize the whole anew where the two meet.

        Args:
            ids: the ids of the context.
            text: the text that is added to it.

        Returns:
            The ids of context and text together, and how many of `ids` were kept at its beginning.
        """
        ...

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """Return the ids of a conversation under the tokenizer's chat template; None where it has none."""
        ...
