"""The texts of a choice in the ids that the tokenizer itself would write.

They are few, so each is written out; nobody can write out every text of a regex, grammar or schema.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

__all__ = ["Choices"]


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
