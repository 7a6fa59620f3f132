"""What every sampling stage is: a frozen value that is called with scores and gives scores.

The stages themselves stand in stages.py (the common ones), more, penalties, forcing and constraint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.scores import Context, Scores
from minilm.sampling.sequences import SequenceTable

__all__ = ["Stage", "bound", "run"]


@dataclass(frozen=True, repr=False, eq=False)
class Stage:
    """A step of the sampling pipeline: a callable from (scores, context) to scores.

    Its repr is its one spelling everywhere: `repr(TopK(40))` is "TopK(40)", and parse() reads it back.
    truncates: it only removes tokens, and never changes the score of one that it keeps.
    """

    truncates: ClassVar[bool] = False

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """The survivors and their scores after this stage."""
        raise NotImplementedError

    def bind(self, codec: TextCodec) -> Stage:
        """The same stage with its words resolved to ids; most stages have none."""
        return self

    def begun(self, generated: int) -> Stage:
        """The same stage for what follows so many generated tokens, where it counts from there."""
        return self

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Why each of these ids, all among `before`, was removed: the number that failed."""
        return ["removed"] * len(ids)

    def gain(self, context: Context) -> float:
        """How many times as far as the scores its cut, or the scores that leave it, may move."""
        return 1.0

    def note(self, context: Context) -> str | None:
        """What else there is to say of this stage in a context, for its row of the ledger."""
        return None

    def ending(self, context: Context) -> str | None:
        """Why a text must end here; None while it may go on."""
        return None

    @cached_property
    def label(self) -> str:
        """The stage as text, made once."""
        return repr(self)

    def __repr__(self) -> str:
        values = [(_plain(getattr(self, f.name)), f.default) for f in fields(self) if f.repr]
        return f"{type(self).__name__}({', '.join(repr(v) for v, default in values if v != default)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def _plain(value: Any) -> Any:
    """A value without NumPy's types, whose repr is no literal.

    >>> _plain({"a": np.float64(0.5)}), _plain([np.int64(3)])
    ({'a': 0.5}, [3])
    """
    if isinstance(value, np.generic | np.ndarray):
        return cast("Any", value).tolist()
    if isinstance(value, Mapping):
        facts = cast("Mapping[Any, Any]", value)
        return {_plain(key): _plain(item) for key, item in facts.items()}
    if isinstance(value, tuple | list):
        items = map(_plain, cast("Sequence[Any]", value))
        return tuple(items) if isinstance(value, tuple) else list(items)
    return value


def run(logits: Array, context: Context, stages: Sequence[Stage]) -> Iterator[Scores]:
    """The model's own scores, from logits (V,), and then what each stage leaves.

    Raises MinilmError where the logits or a stage leave nothing.
    """
    scores = Scores.of(logits)
    yield scores
    for stage in stages:
        scores = stage(scores, context)
        if not scores.ids.size:
            raise MinilmError(f"{stage!r} removed every token, so none can follow; loosen it")
        yield scores


def bound(stage: Stage, table: SequenceTable | None) -> SequenceTable:
    """The table of a stage that speaks of words. MinilmError where it was not bound to a codec."""
    if table is None:
        raise MinilmError(f"{stage!r} speaks of words; bind(codec) it first, so that they become ids")
    return table
