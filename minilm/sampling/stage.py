"""The base class of a sampling stage, the checks of its arguments, and how stages are run.

Arguments are checked where a stage is made, so that no step fails on them. A check that only one
stage needs is in that stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.sampling.scores import Context, Scores

__all__ = [
    "HUGE",
    "Stage",
    "check_known",
    "check_last",
    "check_stage_ids",
    "check_whole",
    "is_id",
    "is_whole",
    "run_stages",
]

HUGE = 1e30
"""No number of a stage is larger, so that scores, which are float32, stay finite."""


def is_whole(value: object, least: int) -> bool:
    """Return whether a value is a whole number from `least`; True and False are not.

    >>> is_whole(3, 1), is_whole(0, 1), is_whole(2.0, 1), is_whole(True, 1)
    (True, False, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def is_id(value: object) -> bool:
    """Return whether a value can be the number of a token: a whole number from 0 that fits in 63 bits."""
    return is_whole(value, 0) and not is_whole(value, 2**63)


def check_whole(stage: str, value: object, least: int) -> None:
    """Raise MinilmError unless the value is a whole number from `least`."""
    if not is_whole(value, least):
        raise MinilmError(f"{stage} must be a whole number from {least}, got {value!r:.80}")


def check_stage_ids(stage: str, ids: Any) -> None:
    """Raise MinilmError unless this is a sequence of ids."""
    listed = isinstance(ids, list | tuple | range | np.ndarray)
    if not listed or not all(map(is_id, cast("Sequence[Any]", ids))):
        raise MinilmError(f"{stage} must be a list of ids, whole numbers from 0, got {ids!r:.80}")


def check_known(ids: Iterable[int], vocab_size: int) -> None:
    """Raise MinilmError for an id that no token has."""
    if unknown := next((i for i in ids if i >= vocab_size), 0):
        raise MinilmError(f"A stage speaks of id {unknown}, and the tokenizer has 0 to {vocab_size - 1}")


def check_last(stage: str, last: object) -> None:
    """Raise MinilmError unless a stage looks back at 1 id or more, or at all (None)."""
    if last is not None and not is_whole(last, 1):
        raise MinilmError(f"{stage} must look at 1 id or more, in whole numbers, got {last!r:.80}")


@dataclass(frozen=True, repr=False, eq=False)
class Stage:
    """A step of the sampling pipeline: a callable from (scores, context) to scores.

    Its repr is its one spelling everywhere: `repr(TopK(40))` is "TopK(40)", and parse() reads it back.

    Attributes:
        truncates: The stage only removes tokens, and never changes the score of one that it keeps.
    """

    truncates: ClassVar[bool] = False

    def __call__(self, scores: Scores, context: Context) -> Scores:
        """Return the survivors and their scores after this stage."""
        raise NotImplementedError

    def bind(self, codec: TextCodec) -> Stage:
        """Return the same stage with its words turned into ids; most stages have no words."""
        return self

    def begin_after(self, generated: int) -> Stage:
        """Return the same stage for the text after so many generated tokens; most stages do not count."""
        return self

    def reasons(self, before: Scores, context: Context, ids: Sequence[int]) -> list[str]:
        """Return why each of these ids, all of them in `before`, was removed: the number that failed."""
        return ["removed"] * len(ids)

    def gain(self, context: Context) -> float:
        """Return by which factor a small change of the scores can grow in this stage, or at its cut."""
        return 1.0

    def find_contested(self, before: Scores, after: Scores, mass_kept: float, reach: float) -> Array | None:
        """Return the ids that may change places at this stage's cut, if scores move less than `reach`.

        Args:
            before: The scores that the stage was given.
            after: The survivors of the stage.
            mass_kept: The share of the probability that the survivors had before.
            reach: The most nats by which two scores, or the log-odds of a mass, move against each other.

        Returns:
            Ids, kept and removed ones; however the scores move, as many of them are kept as now. None where
            the stage cannot tell, or where their number may change.
        """
        return None

    def note(self, context: Context) -> str | None:
        """Return a remark on this stage in a context, for its row of the ledger, or None."""
        return None

    def ending(self, context: Context) -> str | None:
        """Return why a text must end here; None while it may go on."""
        return None

    @cached_property
    def label(self) -> str:
        """The stage as text, made once."""
        return repr(self)

    def __repr__(self) -> str:
        values = [(_to_plain(getattr(self, f.name)), f.default) for f in fields(self) if f.repr]
        return f"{type(self).__name__}({', '.join(repr(v) for v, default in values if v != default)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def _to_plain(value: Any) -> Any:
    """Return a value without NumPy's types, because their repr cannot be read back.

    >>> _to_plain({"a": np.float64(0.5)}), _to_plain([np.int64(3)])
    ({'a': 0.5}, [3])
    """
    if isinstance(value, np.generic | np.ndarray):
        return cast("Any", value).tolist()
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        return {_to_plain(key): _to_plain(item) for key, item in mapping.items()}
    if isinstance(value, tuple | list):
        items = map(_to_plain, cast("Sequence[Any]", value))
        return tuple(items) if isinstance(value, tuple) else list(items)
    return value


def run_stages(logits: Array, context: Context, stages: Sequence[Stage]) -> Iterator[Scores]:
    """Yield the model's own scores, from logits (V,), and then what each stage leaves.

    Raises:
        MinilmError: The logits are not finite, or a stage leaves nothing.
    """
    scores = Scores.of(logits)
    yield scores
    for stage in stages:
        scores = stage(scores, context)
        if not scores.ids.size:
            raise MinilmError(f"{stage!r} removed every token, so none can follow; loosen it")
        yield scores
