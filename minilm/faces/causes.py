"""What the parity doctor found, and the table of its rows, as lines; it renders and computes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap
from typing import Any

from minilm.faces.layout import align

__all__ = ["diagnosis_lines", "row_lines"]

WIDTH = 100


def diagnosis_lines(diagnosis: Any) -> str:
    """A sentence, the causes as a table, then what each does and how it is mended."""
    pair = f"{diagnosis.suspect} and {diagnosis.reference}"
    if diagnosis.equal and not diagnosis.causes:
        return f"{pair} are equal: {len(diagnosis.measured)} rows measured, none parts them"
    lines = [f"{pair} differ: {diagnosis.found}", *wrap(_named(diagnosis), WIDTH, subsequent_indent="  ")]
    rows = [["cause", "alone", "where", "left when neutral"]]
    for cause in diagnosis.causes:
        alone, left = (_number(apart) for apart in (cause.alone.apart, cause.left))
        rows.append([cause.row.name, alone, cause.alone.where, left])
    lines += align(rows, "lrlr", gap=2) if diagnosis.causes else []
    for cause in diagnosis.causes:
        lines += wrap(
            f"{cause.row.name}: {cause.row.effect}; neutral: {cause.row.neutral}",
            WIDTH,
            subsequent_indent="  ",
        )
    rest = "" if diagnosis.explained else ": a cause that no row knows"
    lines.append(f"with every row neutral {_number(diagnosis.unexplained.apart)} is left{rest}")
    return "\n".join(lines)


def _number(apart: float) -> str:
    return f"{apart:.1e}" if apart < float("inf") else "unlike"


def _named(diagnosis: Any) -> str:
    names = ", ".join(cause.row.name for cause in diagnosis.causes)
    return f"explained by {names}" if names else "no row explains it"


def row_lines(rows: Iterable[Any]) -> str:
    """One line for each row: number, name, topic, and whether it can be switched on."""
    table = [["#", "name", "topic", "neutral form", ""]]
    for row in rows:
        table.append([str(row.number), row.name, row.topic, row.neutral, row.why_not and "documented only"])
    return "\n".join(align(table, "rllll", gap=2))
