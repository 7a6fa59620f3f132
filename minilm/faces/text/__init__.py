"""The text face: a record as lines of at most 100 columns, safe on any terminal.

`print(step)` is this. The brief lines are in text_brief.py, the full ones in text_full.py, the lines
around a run in text_run.py, what a console can show in console.py; all are at hand here.
"""

from __future__ import annotations

import sys
from typing import Any

from minilm.errors import MinilmError
from minilm.faces.console import to_console, wants_colour, write
from minilm.faces.layout import WIDTH, cells, clip
from minilm.faces.text.brief import candidate_line, decision_lines, ending, read_line, train_lines
from minilm.faces.text.full import full_lines
from minilm.faces.text.run import footer, header
from minilm.faces.visible import visible
from minilm.records import Candidate, Decision, Step, TrainStep

__all__ = ["footer", "header", "printed", "render", "to_console", "wants_colour", "write"]


def render(record: Any, show: str = "brief", *, so_far: str | None = None) -> str:
    """A record as text, without a final newline; equal records give equal text.

    record: Step, Decision, Candidate or TrainStep; show: "brief", "full" or, of a Step, "text" (its new
    text alone, newlines kept); so_far: the text up to and with this step, for a last line that shows its
    end. Another record or another `show` is a MinilmError.
    """
    if show not in ("text", "brief", "full"):
        raise MinilmError(f'show must be "text", "brief" or "full", got {show!r}')
    if show == "text" and isinstance(record, Step):
        return visible(record.new_text, keep="\n\t")
    lines = full_lines(record) if show == "full" else _brief(record)
    if not lines:
        kinds = "Step, Decision, Candidate or TrainStep"
        raise MinilmError(f"the text face shows a {kinds}, got a {type(record).__name__}")
    if so_far is not None:
        lines.append(_end_of(so_far))
    return "\n".join(clip(line, WIDTH) for line in lines)


def printed(record: Any) -> str:
    """What print(record) shows: the brief text, as far as the encoding of standard output allows."""
    return to_console(render(record), getattr(sys.stdout, "encoding", None) or "utf-8")


def _brief(record: Any) -> list[str]:
    if isinstance(record, Step):
        return [read_line(record), *decision_lines(record.decision), *ending(record)]
    if isinstance(record, Decision):
        return decision_lines(record)
    if isinstance(record, Candidate):
        return [candidate_line(record)]
    return train_lines(record) if isinstance(record, TrainStep) else []


def _end_of(text: str) -> str:
    shown, room = visible(text, keep="").split(" "), WIDTH - 10
    kept: list[str] = []
    while shown and sum(map(cells, kept)) + len(kept) + cells(shown[-1]) <= room:
        kept.insert(0, shown.pop())
    return f" text  {'… ' if shown else ''}{' '.join(kept)}".rstrip()
