"""A user's own net as a LanguageModel: what it answers is checked once, before it is believed.

What PyTorch and Keras do differently stands in torch_wrap.py and tensorflow_wrap.py. A net that keeps no
state is given the whole context anew at every reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.backends.checks import check_ids, check_rows
from minilm.errors import MinilmError, first_line
from minilm.protocols import TextCodec
from minilm.records import Array, Reading, frozen_array

__all__ = ["Adapter", "WrappedModel"]

EXPECTED = "logits (1, T, V), (logits, state) or (logits, state, embeddings (1, T, E)) for ids (1, T)"
TOLERANCE = 1e-4  # of the largest logit, between reading two ids at once and one after the other


@dataclass(frozen=True)
class Adapter:
    """What a framework does for a wrapped net.

    call(ids (1, T), state or None) -> the net's own answer, without gradients or dropout; array(tensor)
    -> NumPy; embed(ids) -> (T, E) of the first Embedding layer, or None where there is none; copy(state).
    """

    name: str
    call: Callable[[Array, Any], Any]
    array: Callable[[Any], Array]
    embed: Callable[[Array], Array | None]
    copy: Callable[[Any], Any]


class WrappedModel:
    """A net behind read(); vocab_size and embedding_size are found by reading the ids 0, 0."""

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
        """One id after the other must give what two at once gave; a time-major net does not."""
        first = self._ask(np.zeros(1, np.int64), None)[1]
        apart = float(np.abs(self._ask(np.zeros(1, np.int64), first)[0][-1] - whole).max())
        if not apart <= TOLERANCE * max(1.0, float(np.abs(whole).max())):
            raise MinilmError(
                f"{self.name} reads two ids at once and one by one to logits {apart:.1e} apart; expected ids "
                "(1, T) with the batch first, and a returned state that carries on (is batch_first missing?)"
            )

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; the state is the net's own, or the ids so far where the net keeps none."""
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
        """The net's answer as logits (T, V), state or None, embeddings (T, E)."""
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
        """(1, T, N) or (T, N) as (T, N)."""
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
