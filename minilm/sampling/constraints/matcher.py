"""llguidance behind a pure function: the generated ids to the mask of tokens that may follow.

One matcher is moved back and forth between the asked-for places; what it answers depends on the ids alone.
llguidance never raises on a bad token, and in its error state it allows the end, so errors are looked for.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.protocols import TextCodec
from minilm.records import Array, frozen_array
from minilm.sampling.constraints.probe import LIMITS, plain, probe
from minilm.sampling.constraints.vocabulary import Vocabulary, vocabulary_of

__all__ = ["Choices", "Matcher", "State"]

_KEPT = 64  # masks that are remembered: those of a step are asked for more than once


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What may follow some ids: allowed (V,), how many tokens of text, whether it may end, or an error."""

    allowed: Array
    tokens: int
    accepting: bool
    error: str

    __repr__ = one_line


class Matcher:
    """A constraint over a vocabulary; state() is a pure function, kept quick by a matcher that moves.

    lark: the grammar; view: llguidance's own view of the vocabulary; texts: all that it allows, where
    they are few.
    """

    def __init__(self, lark: str, vocabulary: Vocabulary, view: Any, texts: Sequence[str] = ()) -> None:
        self._vocabulary, self.lark, self.view = vocabulary, lark, view
        self._choices = Choices(vocabulary.spellings(texts))
        self._runs = {True: _Run(lark, view), False: _Run('%llguidance {"no_forcing": true}\n' + lark, view)}
        self._states: OrderedDict[tuple[Any, ...], State] = OrderedDict()
        self._lock = threading.Lock()  # one matcher serves every cursor of a session

    @classmethod
    def of(cls, lark: str, codec: TextCodec, name: str, texts: Sequence[str] = ()) -> Matcher:
        """A matcher for a grammar. MinilmError where it is ill formed or too large, or without llguidance."""
        if not find_spec("llguidance"):
            raise MinilmError(
                f'{name} needs llguidance, which is not installed; run: pip install "minilm[constrain]"'
            )
        if error := probe(lark):
            raise MinilmError(f"{name} is refused: {error}")
        vocabulary = vocabulary_of(codec)
        matcher = cls(lark, vocabulary, _view(vocabulary), texts)
        for canonical in (True, False):
            if error := matcher.state((), canonical, ()).error:
                raise MinilmError(f"{name} is refused: {error}")
        return matcher

    def __deepcopy__(self, memo: Any) -> Matcher:
        return self

    def state(self, ids: Array | Sequence[int], canonical: bool, eos_ids: Sequence[int]) -> State:
        """What may follow these generated ids; ids that end the text may where the text may end."""
        wanted = np.ascontiguousarray(ids, dtype=np.int64)
        key = (wanted.tobytes(), canonical, tuple(eos_ids))
        with self._lock:
            if key not in self._states:
                self._states[key] = self._ask(wanted, canonical, eos_ids)
                if len(self._states) > _KEPT:
                    self._states.popitem(last=False)
            return self._states[key]

    def _ask(self, ids: Array, canonical: bool, eos_ids: Sequence[int]) -> State:
        size, ends = self._vocabulary.size, {*eos_ids, *self._vocabulary.eos}
        mask, error = self._runs[canonical].mask(ids, size, ends)
        allowed, accepting = mask[:size], bool(mask[size])
        if canonical:
            allowed[self._vocabulary.doubles] = False
            if written := self._choices.after(ids.tolist()):
                allowed[:], accepting = False, written[1]
                allowed[list(written[0])] = True
        tokens = int(np.count_nonzero(allowed))
        allowed[[i for i in ends if i < size]] = accepting
        return State(frozen_array(allowed), tokens, accepting, error)


class _Run:
    """One llguidance matcher and the ids that it has read."""

    def __init__(self, lark: str, view: Any) -> None:
        from llguidance import LLMatcher, LLParserLimits

        self._fresh = LLMatcher(view, lark, log_level=0, limits=LLParserLimits(**LIMITS))
        self._begin_anew()

    def mask(self, ids: Array, size: int, ends: set[int]) -> tuple[Array, str]:
        """(size + 1,) the tokens that may follow ids, the end last, and what went wrong, or nothing.

        ends: the ids that end a text, which are the grammar's end, `size`.
        """
        error = self._move(ids, size, ends)
        bits = np.zeros(size // 32 + 1, np.int32)
        if not error:
            self._now.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        mask = np.unpackbits(bits.view(np.uint8), count=size + 1, bitorder="little").view(bool)
        if not mask[:size].any() and self._now.is_error():  # it allows the end then
            error, mask[size] = self._broken(), False
        return mask, error

    def _move(self, ids: Array, size: int, ends: set[int]) -> str:
        """Go to where ids have been read: back to what is common, and on from there."""
        shorter = min(ids.size, self._read.size)
        other = ids[:shorter] != self._read[:shorter]
        common = int(other.argmax()) if other.any() else shorter
        if common < self._read.size and not self._now.rollback(self._read.size - common):
            self._begin_anew()
            common = 0
        for place, token_id in enumerate(ids[common:].tolist(), common + 1):
            if not self._now.consume_token(size if token_id in ends else token_id):
                why = self._now.get_error()
                self._begin_anew()
                unfit = "satisfy the grammar" in why or "parser stopped" in why
                return f"its token {place}, id {token_id}, does not fit" if unfit else plain(why)
        self._read = ids
        return ""

    def _broken(self) -> str:
        """The error that the matcher is in; the next question begins anew, for an error state stays."""
        error = self._now.get_error()
        self._begin_anew()
        return "" if error.startswith("NoExtension") else plain(error)  # no token fits: a mask without a bit

    def _begin_anew(self) -> None:
        self._now, self._read = self._fresh.deep_copy(), np.zeros(0, np.int64)


def _view(vocabulary: Vocabulary) -> Any:
    """llguidance's own view of a vocabulary, made once."""
    if vocabulary.view is None:
        from llguidance import LLTokenizer, TokenizerWrapper

        wrapped = TokenizerWrapper(vocabulary)
        vocabulary.view = LLTokenizer(wrapped, n_vocab=vocabulary.size + 1)
    return vocabulary.view


class Choices:
    """Texts as ids, in order, so that those that begin alike stand together.

    >>> choices = Choices([[1, 2], [1], [5, 2]])
    >>> choices.after([]), choices.after([1]), choices.after([7])
    (({1, 5}, False), ({2}, True), None)
    """

    def __init__(self, texts: Iterable[Sequence[int]]) -> None:
        self._texts = sorted({tuple(ids) for ids in texts})

    def after(self, ids: Sequence[int]) -> tuple[set[int], bool] | None:
        """The ids that may follow, and whether the text may end; None where no text begins so."""
        begun = tuple(ids)
        first = bisect_left(self._texts, begun)
        last = bisect_left(self._texts, (*begun[:-1], begun[-1] + 1)) if begun else len(self._texts)
        alike = self._texts[first:last]
        if not alike:
            return None
        return {text[len(begun)] for text in alike if len(text) > len(begun)}, alike[0] == begun
