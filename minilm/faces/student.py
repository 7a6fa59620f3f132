"""A student's LSTM beside the reference, as lines; it renders a verdict and computes nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["student_lines"]


def student_lines(verdict: Any) -> str:
    """The verdict's sentence, and what to mend where that is known."""
    lines = [verdict.sentence]
    if verdict.guess is not None:
        lines.append(f"to mend: {verdict.guess.mend}")
    elif not verdict.equal and verdict.reference == "the reference":
        lines.append("no known mistake makes them equal; begin with the quantity named above")
    return "\n".join(lines)
