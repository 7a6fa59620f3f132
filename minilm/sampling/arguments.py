"""What stages may be given: looked at where a stage is made, so that no step breaks on it.

What holds of one stage alone stands in that stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from minilm.errors import MinilmError

__all__ = ["HUGE", "check_ids", "check_known", "check_last", "check_whole", "is_id", "is_whole"]

HUGE = 1e30
"""No number of a stage is larger, so that scores, which are float32, stay finite."""


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number from `least`; True and False are none.

    >>> is_whole(3, 1), is_whole(0, 1), is_whole(2.0, 1), is_whole(True, 1)
    (True, False, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def is_id(value: object) -> bool:
    """Whether a value can be the number of a token: a whole number from 0 that fits in 63 bits."""
    return is_whole(value, 0) and not is_whole(value, 2**63)


def check_whole(stage: str, value: object, least: int) -> None:
    """Raise MinilmError for what is no whole number from `least`."""
    if not is_whole(value, least):
        raise MinilmError(f"{stage} must be a whole number from {least}, got {value!r:.80}")


def check_ids(stage: str, ids: Any) -> None:
    """Raise MinilmError for what is no sequence of ids."""
    listed = isinstance(ids, list | tuple | range | np.ndarray)
    if not listed or not all(map(is_id, cast("Sequence[Any]", ids))):
        raise MinilmError(f"{stage} must be a list of ids, whole numbers from 0, got {ids!r:.80}")


def check_known(ids: Iterable[int], vocab_size: int) -> None:
    """Raise MinilmError for an id that no token has."""
    if unknown := next((i for i in ids if i >= vocab_size), 0):
        raise MinilmError(f"A stage speaks of id {unknown}, and the tokenizer has 0 to {vocab_size - 1}")


def check_last(stage: str, last: object) -> None:
    """Raise MinilmError where a stage shall look back at something else than 1 id or more, or all (None)."""
    if last is not None and not is_whole(last, 1):
        raise MinilmError(f"{stage} must look at 1 id or more, in whole numbers, got {last!r:.80}")
