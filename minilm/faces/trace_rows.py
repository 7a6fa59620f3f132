"""A run as flat rows for a spreadsheet: one per step, or one per candidate of every step.

Tokens are quoted with everything hidden written out, so that no cell is ever a formula; their exact bytes
stand beside them in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minilm.faces.visible import piece, quoted
from minilm.records import Candidate, Step

__all__ = ["CANDIDATE_HEADS", "STEP_HEADS", "candidate_rows", "step_row"]

STEP_HEADS = (
    "index", "position", "read_id", "read", "chosen_id", "chosen", "chosen_bytes", "rank", "logit",
    "p_model", "logp_model", "p_tempered", "p_final", "entropy_raw", "entropy_final", "k_raw", "k_final",
    "survivors", "u", "low", "high", "margin", "cut", "fragile", "embedding_norm",
    "embedding_cosine", "forced", "new_text", "offset", "finish", "branch", "reason",
)  # fmt: skip
CANDIDATE_HEADS = (
    "index", "rank", "id", "text", "bytes", "logit", "p_model", "logp_model", "p_tempered", "p_final",
    "chosen", "removed_by", "why",
)  # fmt: skip


def step_row(step: Step) -> list[Any]:
    """The cells of a step, in the order of STEP_HEADS; None where there is no value."""
    d, chosen = step.decision, step.decision.chosen
    low, high = d.interval or (None, None)
    return [
        step.index, step.position, step.id, piece(step.text, step.bytes), *_token(chosen), chosen.rank,
        *_numbers(chosen), d.raw.entropy, d.final.entropy, d.raw.k_used, d.final.k_used, d.survivors,
        d.u, low, high, d.margin, d.cut, d.fragile, step.embedding.norm, step.embedding.cosine, d.forced,
        quoted(step.new_text), step.offset, step.finish, step.branch, quoted(d.reason),
    ]  # fmt: skip


def candidate_rows(step: Step) -> Iterator[list[Any]]:
    """A row for every candidate of a step, in the order of CANDIDATE_HEADS."""
    for c in step.decision.candidates:
        gone: Sequence[str | None] = (None, None)
        if c.removed_by:
            gone = (quoted(c.removed_by.stage), quoted(c.removed_by.why))
        chosen = c.id == step.decision.chosen.id
        yield [step.index, c.rank, *_token(c), *_numbers(c), chosen, *gone]


def _token(token: Candidate) -> tuple[int, str, str]:
    return token.id, piece(token.text, token.bytes), token.bytes.hex()


def _numbers(token: Candidate) -> tuple[float, ...]:
    return token.logit, token.p_model, token.logp_model, token.p_tempered, token.p_final
