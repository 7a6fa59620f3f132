"""Records as text: lines of at most 100 columns, safe on any terminal. `print(step)` shows this.

brief.py has the brief lines, full.py all that a record carries, run.py the lines around a run, train.py the
tables of a training.
"""

from __future__ import annotations

import sys

from minilm.errors import MinilmError
from minilm.faces.console import to_console, wants_colour, write
from minilm.faces.layout import WIDTH, clip, count_cells
from minilm.faces.text.brief import candidate_line, decision_lines, ending, read_line, train_lines
from minilm.faces.text.full import full_lines
from minilm.faces.text.run import footer, header
from minilm.faces.visible import visible
from minilm.records import Candidate, Decision, Step, TrainStep

__all__ = ["footer", "header", "render", "render_for_stdout", "to_console", "wants_colour", "write"]


def render(record: object, show: str = "brief", *, so_far: str | None = None) -> str:
    """Return a record as text, without a final newline. Equal records give equal text.

    Args:
        record: a Step, Decision, Candidate or TrainStep.
        show: "brief", "full" or, for a Step, "text": its new text alone, newlines kept.
        so_far: the text up to this step, its own included; then a last line shows how it ends.

    Raises:
        MinilmError: for another record or another `show`.
    """
    if show not in ("text", "brief", "full"):
        raise MinilmError(f'show must be "text", "brief" or "full", got {show!r}')
    if show == "text" and isinstance(record, Step):
        return visible(record.new_text, keep="\n\t")
    lines = full_lines(record) if show == "full" else _brief_lines(record)
    if not lines:
        kinds = "Step, Decision, Candidate or TrainStep"
        raise MinilmError(f"the text face shows a {kinds}, got a {type(record).__name__}")
    if so_far is not None:
        lines.append(_last_words(so_far))
    return "\n".join(clip(line, WIDTH) for line in lines)


def render_for_stdout(record: object) -> str:
    """Return what print(record) shows: the brief text, in the encoding of standard output."""
    return to_console(render(record), getattr(sys.stdout, "encoding", None) or "utf-8")


def _brief_lines(record: object) -> list[str]:
    if isinstance(record, Step):
        return [read_line(record), *decision_lines(record.decision), *ending(record)]
    if isinstance(record, Decision):
        return decision_lines(record)
    if isinstance(record, Candidate):
        return [candidate_line(record)]
    return train_lines(record) if isinstance(record, TrainStep) else []


def _last_words(text: str) -> str:
    """Return a line with as many of the last words of a text as fit."""
    shown, room = visible(text, keep="").split(" "), WIDTH - 10
    kept: list[str] = []
    while shown and sum(map(count_cells, kept)) + len(kept) + count_cells(shown[-1]) <= room:
        kept.insert(0, shown.pop())
    return f" text  {'… ' if shown else ''}{' '.join(kept)}".rstrip()
