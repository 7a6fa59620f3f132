"""A pure function from the generated ids to the mask of tokens that may follow, computed by llguidance.

One matcher moves back and forth between the places that are asked for; its answer depends on the ids alone.
llguidance raises no error for a bad token, and in its error state it allows the end, so this module checks.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.errors import MinilmError, require_packages
from minilm.frozen import one_line
from minilm.protocols import TextCodec
from minilm.records import Array, frozen_array
from minilm.sampling.constraints.probe import LIMITS, shorten, try_grammar
from minilm.sampling.constraints.vocabulary import Vocabulary, get_vocabulary

__all__ = ["Choices", "Matcher", "State"]

# How many masks are remembered; the masks of one step are asked for more than once.
_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The tokens that may follow some ids.

    Attributes:
        allowed: (V,) whether each token may follow.
        tokens: How many of them are tokens of text, not an end.
        accepting: Whether the text may end here.
        error: What went wrong, or "".
    """

    allowed: Array
    tokens: int
    accepting: bool
    error: str

    __repr__ = one_line


class Matcher:
    """A constraint over a vocabulary; find_state() is a pure function of the ids."""

    def __init__(self, lark: str, vocabulary: Vocabulary, view: Any, texts: Sequence[str] = ()) -> None:
        """Make a matcher.

        Args:
            lark: The grammar.
            vocabulary: The pieces of the codec.
            view: llguidance's own view of the vocabulary.
            texts: All texts that the constraint allows, if they are few.
        """
        self._vocabulary, self.lark, self.view = vocabulary, lark, view
        self._choices = Choices(vocabulary.spellings(texts))
        self._runs = {True: _Run(lark, view), False: _Run('%llguidance {"no_forcing": true}\n' + lark, view)}
        self._states: OrderedDict[tuple[Any, ...], State] = OrderedDict()
        # One matcher serves every cursor of a session.
        self._lock = threading.Lock()

    @classmethod
    def of(cls, lark: str, codec: TextCodec, name: str, texts: Sequence[str] = ()) -> Matcher:
        """Make a matcher for a grammar.

        Raises:
            MinilmError: The grammar is wrong or too large, or llguidance is not installed.
        """
        require_packages(name, "llguidance", extra="constrain")
        if error := try_grammar(lark):
            raise MinilmError(f"{name} is refused: {error}")
        vocabulary = get_vocabulary(codec)
        matcher = cls(lark, vocabulary, _get_view(vocabulary), texts)
        for canonical in (True, False):
            if error := matcher.find_state((), canonical, ()).error:
                raise MinilmError(f"{name} is refused: {error}")
        return matcher

    def __deepcopy__(self, memo: Any) -> Matcher:
        return self

    def find_state(self, ids: Array | Sequence[int], canonical: bool, eos_ids: Sequence[int]) -> State:
        """Return what may follow these generated ids; an id of eos_ids may where the text may end."""
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
            if written := self._choices.find_next(ids.tolist()):
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
        self._restart()

    def mask(self, ids: Array, size: int, ends: set[int]) -> tuple[Array, str]:
        """Return which tokens may follow ids, (size + 1,) with the end last, and what went wrong or "".

        Args:
            ids: (n,) the generated ids.
            size: The number of tokens, which is the grammar's id for the end.
            ends: The codec's ids that end a text.
        """
        error = self._move(ids, size, ends)
        bits = np.zeros(size // 32 + 1, np.int32)
        if not error:
            self._now.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        mask = np.unpackbits(bits.view(np.uint8), count=size + 1, bitorder="little").view(bool)
        if not mask[:size].any() and self._now.is_error():
            # In an error llguidance allows the end.
            error, mask[size] = self._explain_error(), False
        return mask, error

    def _move(self, ids: Array, size: int, ends: set[int]) -> str:
        """Go to the place where ids have been read: back to the common part, and forward from there."""
        shorter = min(ids.size, self._read.size)
        other = ids[:shorter] != self._read[:shorter]
        common = int(other.argmax()) if other.any() else shorter
        if common < self._read.size and not self._now.rollback(self._read.size - common):
            self._restart()
            common = 0
        for place, token_id in enumerate(ids[common:].tolist(), common + 1):
            if not self._now.consume_token(size if token_id in ends else token_id):
                why = self._now.get_error()
                self._restart()
                unfit = "satisfy the grammar" in why or "parser stopped" in why
                return f"its token {place}, id {token_id}, does not fit" if unfit else shorten(why)
        self._read = ids
        return ""

    def _explain_error(self) -> str:
        """Return the error of the matcher, and restart it, because it would stay in the error."""
        error = self._now.get_error()
        self._restart()
        # NoExtension: no token fits, which the empty mask says already.
        return "" if error.startswith("NoExtension") else shorten(error)

    def _restart(self) -> None:
        self._now, self._read = self._fresh.deep_copy(), np.zeros(0, np.int64)


def _get_view(vocabulary: Vocabulary) -> Any:
    """Return llguidance's own view of a vocabulary, made once."""
    if vocabulary.view is None:
        from llguidance import LLTokenizer, TokenizerWrapper

        wrapped = TokenizerWrapper(vocabulary)
        vocabulary.view = LLTokenizer(wrapped, n_vocab=vocabulary.size + 1)
    return vocabulary.view


class Choices:
    """Texts as ids, sorted, so that those with the same beginning are neighbours.

    >>> choices = Choices([[1, 2], [1], [5, 2]])
    >>> choices.find_next([]), choices.find_next([1]), choices.find_next([7])
    (({1, 5}, False), ({2}, True), None)
    """

    def __init__(self, texts: Iterable[Sequence[int]]) -> None:
        self._texts = sorted({tuple(ids) for ids in texts})

    def find_next(self, ids: Sequence[int]) -> tuple[set[int], bool] | None:
        """Return the ids that may follow, and whether the text may end; None if no text begins so."""
        prefix = tuple(ids)
        first = bisect_left(self._texts, prefix)
        last = bisect_left(self._texts, (*prefix[:-1], prefix[-1] + 1)) if prefix else len(self._texts)
        alike = self._texts[first:last]
        if not alike:
            return None
        return {text[len(prefix)] for text in alike if len(text) > len(prefix)}, alike[0] == prefix
