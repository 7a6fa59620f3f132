"""The record of one merge, the same in learning and in encoding."""

from dataclasses import dataclass

__all__ = ["Merge", "Pair"]

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Merge:
    """Two neighbours become one piece; spaces are spaces here, not U+2581.

    order: from 0, in the order in which merges happen; pair: the two; count: how often the pair stood in
    the training text, overlaps counted (learning), or 1, this one place (encoding); piece: what they become.
    Encoding only: rank, of the piece, 0 for the one learnt first; at, the character where the piece begins.
    """

    order: int
    pair: Pair
    count: int
    piece: str
    rank: float | None = None
    at: int | None = None
