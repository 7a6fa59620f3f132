"""The doctor's findings and the museum's exhibits as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, wrap_line
from minilm.faces.visible import visible

__all__ = ["exhibits_table", "findings_text"]


def findings_text(
    findings: Sequence[Any],
    steps: int,
    blind: Mapping[str, str] | None = None,
    checks: int = 0,
    notices: Sequence[str] = (),
) -> str:
    """Return a paragraph for each finding, or one line where nothing was found.

    Args:
        findings: Findings of the doctor, the likeliest cause first.
        steps: Number of training steps that were watched.
        blind: The checks that could not look, each with the reason.
        checks: Number of checks that there are.
        notices: What is unusual but may be on purpose.
    """
    found = "nothing found"
    if findings:
        found = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
    first = f"{found} in {_count_steps(steps)}{', the likeliest first' if findings else ''}"
    lines = wrap_line(first + _blind_text(blind or {}, checks), WIDTH, "  ")
    for finding in findings:
        lines += ["", f"{finding.name}  at step {finding.step}"]
        rows = (
            ("number", f"{finding.number:.4g}: {finding.what}"),
            ("cause", finding.cause),
            ("fix", finding.fix),
        )
        for label, text in rows:
            lines += wrap_line(f"  {label:<8}{visible(text, keep='')}", WIDTH, " " * 10)
    if notices:
        lines += [""] if findings else []
    for notice in notices:
        lines += wrap_line(f"notice  {visible(notice, keep='')}", WIDTH, " " * 8)
    return "\n".join(lines)


def _blind_text(blind: Mapping[str, str], checks: int) -> str:
    """Return how many checks could not look, and why."""
    if not blind:
        return ""
    reasons = list(dict.fromkeys(blind.values()))
    because = " and ".join(visible(reason, keep="") for reason in reasons[:2])
    return f"; {len(blind)} of {checks} checks could not look, because {because}"


def exhibits_table(exhibits: Sequence[Any]) -> str:
    """Return one row for each exhibit of the museum: its name, framework and rule."""
    rows = [[exhibit.name, exhibit.framework, exhibit.rule] for exhibit in exhibits]
    return "\n".join(align(rows, "lll", gap=2))


def _count_steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
