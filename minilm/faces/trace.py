"""A recorded run as lines of text and rows of a table: what was asked, margins, a replay, a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, clip, wrap_line
from minilm.faces.numerals import fixed, interval, signed
from minilm.faces.visible import piece, quoted, visible
from minilm.records import Candidate, Step

__all__ = [
    "CANDIDATE_HEADS",
    "STEP_HEADS",
    "asked_lines",
    "candidate_rows",
    "margin_lines",
    "replay_line",
    "step_row",
    "sweep_table",
]

_TOKEN = 24


def asked_lines(start: Mapping[str, Any]) -> str:
    """Return what was asked of a run as text.

    Args:
        start: The first line of a trace; where it is empty, so is the text.
    """
    if not start:
        return ""
    shown = [
        f"model   {visible(start['model'], keep='')}",
        f"prompt  {quoted(start['prompt'])}",
        f"stages  {visible(start['stages'], keep='') or 'none'}",
        f"seed    {start['seed']}",
    ]
    return "\n".join(part for line in shown for part in wrap_line(line, WIDTH, " " * 8))


def margin_lines(margins: Any, texts: Callable[[int], tuple[str, bytes]]) -> str:
    """Return how near a step was to another token, as text.

    Args:
        margins: The Margins of the step.
        texts: Gives the text and the bytes of an id.
    """
    lines = []
    for cut in margins.cuts:
        change = f"{_change(cut.by)} on the logit of {_token(cut.token, texts)}"
        lines.append(f" cut     {visible(cut.stage, keep='')} keeps other tokens after {change}")
    logit, temperature = margins.logit, margins.temperature
    nearest = "none within ±20" if logit is None else _logit(logit, texts)
    lines.append(f" nearest logit  {nearest}")
    nearest = "none within a factor of 20"
    if temperature is not None:
        nearest = f"{_change(temperature.by)} would have taken {_token(temperature.chosen, texts)}"
    lines.append(f" nearest temperature  {nearest}")
    if margins.fragile:
        lines.append(" fragile: logits that differ by 1e-5 can choose another token here")
    return "\n".join(part for line in lines for part in wrap_line(line, WIDTH, " " * 16))


def _logit(change: Any, texts: Callable[[int], tuple[str, bytes]]) -> str:
    moved, taken = _token(change.token, texts), _token(change.chosen, texts)
    return f"{_change(change.by)} on that of {moved} would have taken {taken}"


def _change(by: float) -> str:
    return signed(by, 4) if abs(by) >= 0.001 else f"{by:+.2g}"


def _token(token_id: int, texts: Callable[[int], tuple[str, bytes]]) -> str:
    return f"{clip(piece(*texts(token_id)), _TOKEN)} {token_id}"


def replay_line(replayed: Any) -> str:
    """Return a recorded step and what the replay makes of it, in one line.

    Args:
        replayed: The Replayed record of the step.
    """
    old, new = replayed.step.decision, replayed.decision
    start = f"step {replayed.step.index + 1}  {_named(old.chosen)}"
    if not replayed.parts:
        return clip(
            f"{start}  the same, p {fixed(old.chosen.p_final, 3)} → {fixed(new.chosen.p_final, 3)}", WIDTH
        )
    drawn = "" if new.u is None or new.interval is None else f", {interval(new.u, *new.interval)}"
    gone = next((c.removed_by for c in new.candidates if c.id == old.chosen.id), None)
    cut = (
        f"; {visible(gone.stage, keep='')} removes the old one, {visible(gone.why, keep='')}" if gone else ""
    )
    line = f"{start}  becomes {_named(new.chosen)}{drawn}{cut}: from here on the text is a different one"
    return "\n".join(wrap_line(line, WIDTH, "        "))


def _named(token: Candidate) -> str:
    return f"{clip(piece(token.text, token.bytes), _TOKEN)} {token.id}"


def sweep_table(name: str, rows: Sequence[Any]) -> str:
    """Return a table with a row per value: how many steps keep their token, and the first that does not.

    Args:
        name: The stage whose number varies.
        rows: The SweepRow records.
    """
    table = [[name, "same tokens", "entropy", "survivors", "first difference"]]
    for row in rows:
        parts = "–"
        if row.parts_at is not None:
            parts = f"step {row.parts_at + 1}, with {_named(row.instead)}"
        same = f"{row.same} of {row.of}"
        table.append([f"{row.value:.4g}", same, fixed(row.entropy), f"{row.survivors:.1f}", parts])
    return "\n".join(align(table, "rrrrl", gap=2))


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
    """Return the cells of a step in the order of STEP_HEADS; None where there is no value."""
    d, chosen = step.decision, step.decision.chosen
    low, high = d.interval or (None, None)
    return [
        step.index, step.position, step.id, piece(step.text, step.bytes), *_token_cell(chosen), chosen.rank,
        *_numbers(chosen), d.raw.entropy, d.final.entropy, d.raw.k_used, d.final.k_used, d.survivors,
        d.u, low, high, d.margin, d.cut, d.fragile, step.embedding.norm, step.embedding.cosine, d.forced,
        quoted(step.new_text), step.offset, step.finish, step.branch, quoted(d.reason),
    ]  # fmt: skip


def candidate_rows(step: Step) -> Iterator[list[Any]]:
    """Yield a row for every candidate of a step, with its cells in the order of CANDIDATE_HEADS."""
    for c in step.decision.candidates:
        gone: Sequence[str | None] = (None, None)
        if c.removed_by:
            gone = (quoted(c.removed_by.stage), quoted(c.removed_by.why))
        chosen = c.id == step.decision.chosen.id
        yield [step.index, c.rank, *_token_cell(c), *_numbers(c), chosen, *gone]


def _token_cell(token: Candidate) -> tuple[int, str, str]:
    return token.id, piece(token.text, token.bytes), token.bytes.hex()


def _numbers(token: Candidate) -> tuple[float, ...]:
    return token.logit, token.p_model, token.logp_model, token.p_tempered, token.p_final
