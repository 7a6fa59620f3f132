"""The score of a text as a table: each token with its surprisal, its rank, and the expected tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minilm.faces.layout import WIDTH, align, clip
from minilm.faces.numerals import count, fixed, probability
from minilm.faces.visible import piece

if TYPE_CHECKING:
    from minilm.generation.score import TextScore, TokenScore

__all__ = ["score_table", "score_total"]

_BAR = 20  # cells of the longest bar
_FULL = 10.0  # nats of a full bar


def score_table(tokens: Sequence[TokenScore], expected: int = 3) -> str:
    """Return a table with a row for each token: surprisal in nats, its bar, rank, and the expected tokens.

    Args:
        tokens: the scored tokens.
        expected: how many of the most probable tokens to show.
    """
    rows = [["token", "surprisal", "", "rank", "expected"]]
    rows += [_row(token, expected) for token in tokens]
    return "\n".join(clip(line, WIDTH) for line in align(rows, "lrlrl", 2))


def _row(token: TokenScore, expected: int) -> list[str]:
    shown = clip(piece(token.text, token.bytes), 20)
    if token.surprisal is None:
        return [shown, "–", "", "–", "nothing stands before it"]
    best = (
        f"{clip(piece(c.text, c.bytes), 14)} {probability(c.p_model)}" for c in token.candidates[:expected]
    )
    return [shown, fixed(token.surprisal), _bar(token.surprisal), count(token.rank or 0), " · ".join(best)]


def _bar(surprisal: float) -> str:
    """Return a bar of up to 20 cells, full at 10 nats.

    >>> _bar(5.0), _bar(0.0), len(_bar(float("inf")))
    ('██████████', '', 20)
    """
    return "█" * round(_BAR * min(surprisal, _FULL) / _FULL)


def score_total(score: TextScore) -> str:
    """Return one line with the sums of a text: tokens, bytes, surprisal, perplexity."""
    tokens = f"{count(score.tokens)} tokens and {count(score.bytes)} bytes scored"
    if score.per_token is None:
        return f"{tokens}: nothing stands before the only token, so nothing was expected"
    per_byte = "" if score.per_byte is None else f", {score.per_byte:.4g} per byte"
    mean = score.surprisal / score.tokens
    perplexity = f"{score.per_token:.4g} per token{per_byte}"
    return f"{tokens}   surprisal {fixed(mean, 4)} nats a token   perplexity {perplexity}"
