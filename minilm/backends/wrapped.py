"""A user's own net as a LanguageModel: its answers are checked when it is wrapped.

torch/wrap.py and tensorflow/wrap.py hold what PyTorch and Keras do differently. A net without a state reads
the whole context again at every reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.backends.checks import check_ids, check_rows
from minilm.difference import measure_difference
from minilm.errors import MinilmError, first_line
from minilm.protocols import TextCodec
from minilm.records import Array, Reading, frozen_array

__all__ = ["Adapter", "WrappedModel"]

EXPECTED = "logits (1, T, V), (logits, state) or (logits, state, embeddings (1, T, E)) for ids (1, T)"
TOLERANCE = 1e-4
"""Largest difference of a logit between two ids read at once and one by one, times max(1, largest logit)."""


@dataclass(frozen=True)
class Adapter:
    """The functions of a framework that a wrapped net needs.

    Attributes:
        name: the name of the net.
        call: (ids (1, T), state or None) -> the net's own answer, without gradients and dropout.
        array: tensor -> NumPy array.
        embed: ids (T,) -> embeddings (T, E) of the net's first Embedding layer; None where it has none.
        copy: state -> an independent copy.
    """

    name: str
    call: Callable[[Array, Any], Any]
    array: Callable[[Any], Array]
    embed: Callable[[Array], Array | None]
    copy: Callable[[Any], Any]


class WrappedModel:
    """A net behind read(). It reads the ids 0, 0 once, which shows its vocabulary and embedding sizes.

    Args:
        adapter: the net and its framework.
        codec: its tokenizer, which must have as many ids as the net has logits; None skips this check.

    Raises:
        MinilmError: the net does not answer as a language model does.
    """

    context_size = None

    def __init__(self, adapter: Adapter, codec: TextCodec | None = None) -> None:
        self.name, self._adapter = adapter.name, adapter
        self._stateful = False
        answer = self._ask(np.zeros(2, np.int64), None)
        self._stateful = answer[1] is not None
        self.vocab_size, self.embedding_size = answer[0].shape[-1], answer[2].shape[-1]
        if codec is not None and codec.vocab_size != self.vocab_size:
            raise MinilmError(
                f"{self.name} gives logits for {self.vocab_size} ids, the codec has {codec.vocab_size}; "
                "give the codec it was trained with"
            )
        if self._stateful:
            self._check_split(answer[0][-1])

    def _check_split(self, whole: Array) -> None:
        """Check that two ids one by one give the logits (V,) of two at once; a time-major net does not."""
        first = self._ask(np.zeros(1, np.int64), None)[1]
        found = measure_difference(self._ask(np.zeros(1, np.int64), first)[0][-1], whole)
        if found.scaled > TOLERANCE:
            raise MinilmError(
                f"{self.name} gives other logits for two ids at once than one by one, by {found.apart:.1e}; "
                "it must take ids (1, T), batch first, and return a state to go on from (is batch_first "
                "missing?)"
            )

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; see LanguageModel. The state is the net's own, or the ids so far where it has none."""
        every = check_rows(rows)
        tokens = check_ids(ids, self.vocab_size).astype(np.int64)
        if inner:
            raise MinilmError(f"{self.name} shows no inner arrays, asked for {', '.join(inner)}")
        if self._stateful:
            logits, after, embeddings = self._ask(tokens, self._adapter.copy(state))
        else:
            after = (*(state or ()), *tokens.tolist())
            logits, _, embeddings = self._ask(np.array(after), None)
            logits, embeddings = logits[-len(tokens) :], embeddings[-len(tokens) :]
        return Reading(frozen_array(logits if every else logits[-1:]), frozen_array(embeddings), after)

    def _ask(self, tokens: Array, state: Any) -> tuple[Array, Any, Array]:
        """Return the net's answer as logits (T, V), state or None, and embeddings (T, E)."""
        try:
            answer = self._adapter.call(tokens[None], state)
        except Exception as error:
            line = first_line(str(error), 200, join=True)
            raise MinilmError(
                f"{self.name} could not read ids of shape (1, {len(tokens)}): {type(error).__name__}: {line}"
            ) from error
        parts = list(answer) if isinstance(answer, (tuple, list)) else [answer]
        if not 1 <= len(parts) <= 3:
            raise MinilmError(f"{self.name} must answer with {EXPECTED}; got {len(parts)} values")
        logits = self._rows(parts[0], len(tokens), "logits")
        after = parts[1] if len(parts) > 1 else None
        if len(parts) == 3:
            return logits, after, self._rows(parts[2], len(tokens), "embeddings")
        embeddings = self._adapter.embed(tokens)
        if embeddings is None:
            raise MinilmError(
                f"{self.name} has no Embedding layer; return (logits, state, embeddings (1, T, E))"
            )
        return logits, after, embeddings

    def _rows(self, value: Any, steps: int, what: str) -> Array:
        """Return an array (1, T, N) or (T, N) as (T, N)."""
        try:
            array = self._adapter.array(value)
        except (AttributeError, TypeError, ValueError):
            raise MinilmError(
                f"{self.name} must answer with {EXPECTED}; its {what} are of type {type(value).__name__}"
            ) from None
        if array.ndim == 3 and array.shape[0] == 1:
            array = array[0]
        if array.ndim != 2 or array.shape[0] != steps:
            raise MinilmError(
                f"{self.name} must answer with {EXPECTED}; for ids (1, {steps}) its {what} have shape "
                f"{tuple(np.shape(value))}"
            )
        return array
