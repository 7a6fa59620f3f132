"""What the doctor found, as text: a paragraph for each finding, or the one line that all is well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, wrap
from minilm.faces.visible import visible

__all__ = ["exhibits_table", "findings_text"]


def findings_text(findings: Sequence[Any], steps: int) -> str:
    """Each finding: its name and step, the number and what it is, the likely cause, the fix."""
    if not findings:
        return f"nothing found in {_steps(steps)}"
    lines = [
        f"{len(findings)} finding{'s' if len(findings) > 1 else ''} in {_steps(steps)}, the likeliest first"
    ]
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
    """The museum's list: a row for each recorded broken training."""
    return "\n".join(align([[one.name, one.framework, one.rule] for one in exhibits], "lll", gap=2))


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
