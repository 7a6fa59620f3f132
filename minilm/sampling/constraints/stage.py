"""Constraints: stages that keep only tokens with which the text can fit a choice, regex, grammar or schema.

What a stage allows is a pure function of the generated ids, so rewind, branch and forced tokens need no extra
code. llguidance runs the grammars (matcher.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.scores import Context, Scores
from minilm.sampling.stage import Stage, is_whole

if TYPE_CHECKING:
    from minilm.sampling.constraints.matcher import Matcher, State

__all__ = ["Choice", "Constraint", "Grammar", "JsonSchema", "Regex"]

# The most characters of a constraint.
_LONGEST = 100_000

# Up to this many choices are also listed as ids.
_FEW = 1000

_SPECIAL = re.compile(r"\\.|[/\n\r]", re.DOTALL)


@dataclass(frozen=True, repr=False, eq=False)
class Constraint(Stage):
    """The base class of the constraints; each can be written as a Lark grammar.

    Attributes:
        canonical: Allow only the tokens in which the tokenizer itself would write a text that must follow, or
            one of up to 1000 choices; never a byte instead of a piece. False: every token whose bytes fit.
        after: How many generated tokens come first. Only the text behind them must fit, never the prompt.
        matcher: The constraint over a codec's pieces; None until bind(codec).
    """

    truncates: ClassVar[bool] = True

    canonical: bool = field(default=True, kw_only=True)
    after: int = field(default=0, kw_only=True)
    matcher: Matcher | None = field(default=None, repr=False, kw_only=True)

    @property
    def lark(self) -> str:
        """The constraint as a Lark grammar in llguidance's dialect; its first rule is `start`."""
        raise NotImplementedError

    @property
    def choices(self) -> Sequence[str]:
        """All texts that it allows, with or without a space before them; none if there are too many."""
        return ()

    def __repr__(self) -> str:
        given = getattr(self, fields(self)[-1].name)
        canonical = "" if self.canonical else ", canonical=False"
        return f"{type(self).__name__}({given!r}{canonical}{f', after={self.after}' if self.after else ''})"

    def begin_after(self, generated: int) -> Constraint:
        """Return the same constraint for the text after so many generated tokens."""
        return replace(self, after=generated)

    def bind(self, codec: TextCodec) -> Constraint:
        """Return the same constraint over a codec's pieces. MinilmError if it is wrong or too large."""
        # Imported here, because only constraints need llguidance.
        from minilm.sampling.constraints.matcher import Matcher

        if not is_whole(self.after, 0):
            raise MinilmError(f"{type(self).__name__} begins after 0 or more tokens, got {self.after!r}")
        if self.canonical not in (True, False):
            raise MinilmError(
                f"{type(self).__name__} is canonical or not, True or False, got {self.canonical}"
            )
        return replace(self, matcher=Matcher.of(self.lark, codec, type(self).__name__, self.choices))

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors whose bytes fit, and those that end the text if it may end here."""
        if context.generated < self.after:
            return scores
        allowed = self.allowed(context, self.canonical)
        inside = scores.ids < allowed.size
        keep = allowed[scores.ids] if inside[-1] else inside & allowed[np.where(inside, scores.ids, 0)]
        if not keep.any():
            raise MinilmError(f"{type(self).__name__} leaves no token: {self._explain_nothing(context)}")
        return scores.keep(keep)

    def _explain_nothing(self, context: Context) -> str:
        """Return why no token is left here, and what to do."""
        why = self.ending(context)
        if why is None:
            return "a stage before it removed every token that fits; loosen that one, or put it after"
        if why.endswith("complete"):
            return f"{why}, and nothing here can end the text; let it be ended, or ask for more text"
        return f"{why}; ask for a text that the tokenizer's pieces can write"

    def allowed(self, context: Context, canonical: bool) -> Array:
        """Return (V,) whether each token may follow. MinilmError if the text so far does not fit."""
        state = self._find_state(context, canonical)
        if state.error:
            raise MinilmError(f"{type(self).__name__} cannot go on: {state.error}")
        return state.allowed

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return that the bytes do not fit, or that the tokenizer would write them in other pieces."""
        fits = self.allowed(context, canonical=False)
        other = "its bytes fit, but the tokenizer would write them in other pieces"
        return [other if i < fits.size and fits[i] else "its bytes do not fit" for i in map(int, ids)]

    def note(self, context: Context) -> str:
        """Return how many tokens fit by their bytes, and how many of them are canonical."""
        if context.generated < self.after:
            return f"begins after {self.after} tokens"
        fits, canonical = (np.count_nonzero(self.allowed(context, kind)) for kind in (False, True))
        return f"{fits} tokens fit by their bytes, {canonical} of them canonical"

    def ending(self, context: Context) -> str | None:
        """Return why only an end can follow: complete, or impossible; None while the text goes on."""
        if context.generated < self.after:
            return None
        state = self._find_state(context, self.canonical)
        if state.error:
            return f"{type(self).__name__} is broken: {state.error}"
        if state.tokens:
            return None
        name = type(self).__name__
        return f"{name} is complete" if state.accepting else f"{name} is impossible: no token fits any more"

    def _find_state(self, context: Context, canonical: bool) -> State:
        behind = context.ids[context.prompt_length + self.after :]
        return self._bound.find_state(behind, canonical, context.eos_ids)

    @property
    def _bound(self) -> Matcher:
        if self.matcher is None:
            raise MinilmError(f"{type(self).__name__} works on text; bind(codec) it first")
        return self.matcher


@dataclass(frozen=True, repr=False, eq=False)
class Choice(Constraint):
    """Allows only one of these texts; a space may come before it, as models often write one.

    >>> print(Choice(["Yes", "No"]).lark)
    start: CHOICE
    CHOICE: " "? ("Yes" | "No")
    """

    texts: Sequence[str]

    def __post_init__(self) -> None:
        if not _are_texts(self.texts):
            raise MinilmError(f"Choice must be a list of texts, none empty, got {self.texts!r:.80}")
        _check_text("Choice", "".join(self.texts))

    @property
    def lark(self) -> str:
        """One rule with all the texts."""
        texts = (json.dumps(text, ensure_ascii=False) for text in self.texts)
        return f'start: CHOICE\nCHOICE: " "? ({" | ".join(texts)})'

    @property
    def choices(self) -> Sequence[str]:
        """The texts themselves."""
        return self.texts if len(self.texts) <= _FEW else ()


@dataclass(frozen=True, repr=False, eq=False)
class Regex(Constraint):
    """Allows only a text that a regular expression (in Rust's syntax) matches as a whole.

    No look-around and no back-references; \\d, \\w and \\s are Unicode's, so write [0-9] for 0 to 9.
    """

    pattern: str

    def __post_init__(self) -> None:
        _check_text("Regex", self.pattern)

    @property
    def lark(self) -> str:
        """One rule, with its slashes and line breaks escaped."""
        return f"start: /{re.sub(_SPECIAL, _escape, self.pattern)}/"


@dataclass(frozen=True, repr=False, eq=False)
class Grammar(Constraint):
    """Allows only a text of a context-free grammar in Lark's syntax; its first rule is called start."""

    text: str

    def __post_init__(self) -> None:
        _check_text("Grammar", self.text)

    @property
    def lark(self) -> str:
        """The grammar as it was given."""
        return self.text


@dataclass(frozen=True, repr=False, eq=False)
class JsonSchema(Constraint):
    """Allows only a JSON value that fits a schema, written as json.dumps writes it: ", " and ": "."""

    schema: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not _is_mapping(self.schema):
            raise MinilmError(
                f"JsonSchema must be a schema like {{'type': 'object'}}, got {self.schema!r:.80}"
            )
        try:
            _check_text("JsonSchema", json.dumps(self.schema, allow_nan=False, ensure_ascii=False))
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, MinilmError):
                raise
            raise MinilmError(f"JsonSchema must be plain JSON, and not too deep: {error}") from error

    @property
    def lark(self) -> str:
        """The schema as llguidance reads it."""
        spaces = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
        return f"start: %json {json.dumps({'x-guidance': spaces} | dict(self.schema), ensure_ascii=False)}"


def _are_texts(given: Any) -> bool:
    return bool(given) and not isinstance(given, str) and all(isinstance(one, str) and one for one in given)


def _is_mapping(given: Any) -> bool:
    return isinstance(given, Mapping)


def _escape(found: re.Match[str]) -> str:
    r"""Escape a character for a Lark regex, which is written between slashes; an escaped one stays.

    >>> re.sub(_SPECIAL, _escape, r"a/b\/c")
    'a\\/b\\/c'
    """
    last = found[0][-1]
    return {"/": r"\/", "\n": r"\n", "\r": r"\r"}.get(last, found[0])


def _check_text(stage: str, text: object) -> None:
    """Raise MinilmError for a value that is not a text, is empty, too long, or cannot be written in UTF-8."""
    if not isinstance(text, str) or not text:
        raise MinilmError(f"{stage} must be given a text that is not empty, got {text!r:.80}")
    if len(text) > _LONGEST:
        raise MinilmError(f"{stage} may take {_LONGEST:,} characters, got {len(text):,}; make it smaller")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MinilmError(f"{stage} holds half a character at offset {error.start}; take it out") from error
