"""A comparison of backends as a table and a sentence for each; it renders verdicts and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import align, clip
from minilm.faces.visible import quoted

__all__ = ["comparison_table", "sentence"]

TEXT_WIDTH = 60


def comparison_table(verdicts: Sequence[Any], texts: Sequence[Any] = ()) -> str:
    """Rows of backend, stage, largest difference, step and parameter; then a sentence for each backend."""
    rows = [["backend", "stage", "largest difference", "step", "where"]]
    for verdict in verdicts:
        for stage, place in verdict.worst.items():
            apart = f"{place.difference.apart:.1e}"
            rows.append([verdict.backend, stage, apart, str(place.step), place.difference.parameter])
        rows += [[text.backend, "text", *_text(text)] for text in texts if text.backend == verdict.backend]
    lines = [*align(rows, "llrrl", gap=2), ""]
    lines += [sentence(verdict) for verdict in verdicts]
    if texts:
        lines.append(f"{texts[0].reference} wrote {clip(quoted(texts[0].reference_text), TEXT_WIDTH)}")
    if not all(verdict.equal for verdict in verdicts):
        lines.append("in float32 rounding grows with rate and steps; --dtype float64 tells it from a cause")
    return "\n".join(lines)


def _text(text: Any) -> list[str]:
    if text.parts_at is None:
        return ["equal", "", f"{len(text.ids)} tokens"]
    return ["parts", "", f"at token {text.parts_at + 1} of {len(text.reference_ids)}"]


def sentence(verdict: Any) -> str:
    """One line: equal, or where it first parts."""
    steps = f"{verdict.steps} step{'' if verdict.steps == 1 else 's'}"
    if verdict.equal:
        return f"{verdict.backend} equals {verdict.reference} over {steps} within {verdict.tolerance:g}"
    return f"{verdict.backend} first parts from {verdict.reference} at {verdict.first}"
