"""The doctor's findings and the museum's exhibits as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, wrap
from minilm.faces.visible import visible

__all__ = ["exhibits_table", "findings_text"]


def findings_text(findings: Sequence[Any], steps: int) -> str:
    """Return a paragraph for each finding, or one line where nothing was found.

    Args:
        findings: Findings of the doctor, the likeliest cause first.
        steps: Number of training steps that were watched.
    """
    if not findings:
        return f"nothing found in {_count_steps(steps)}"
    plural = "s" if len(findings) > 1 else ""
    lines = [f"{len(findings)} finding{plural} in {_count_steps(steps)}, the likeliest first"]
    for finding in findings:
        lines += ["", f"{finding.name}  at step {finding.step}"]
        rows = (
            ("number", f"{finding.number:.4g}: {finding.what}"),
            ("cause", finding.cause),
            ("fix", finding.fix),
        )
        for label, text in rows:
            lines += wrap(f"  {label:<8}{visible(text, keep='')}", WIDTH, " " * 10)
    return "\n".join(lines)


def exhibits_table(exhibits: Sequence[Any]) -> str:
    """Return one row for each exhibit of the museum: its name, framework and rule."""
    rows = [[exhibit.name, exhibit.framework, exhibit.rule] for exhibit in exhibits]
    return "\n".join(align(rows, "lll", gap=2))


def _count_steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
