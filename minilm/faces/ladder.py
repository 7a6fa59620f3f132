"""The ladder as a table: how far two frameworks part with every correction; it computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import align

__all__ = ["ladder_table"]


def ladder_table(rungs: Sequence[Any], reference: str, suspect: str, tolerance: float) -> str:
    """Rows of what is neutral, and the largest difference of losses and of weights; then a sentence."""
    rows = [["neutral", "losses apart", "weights apart"]]
    rows += [[rung.label, f"{rung.losses:.1e}", f"{rung.weights:.1e}"] for rung in rungs]
    top = [rung for rung in rungs if not rung.left_out][-1]
    word = "equal" if top.losses <= tolerance else "not equal"
    steps = len(top.apart)
    pair = f"with every correction {suspect} and {reference} are {word}"
    lines = [*align(rows, "lrr", gap=2), f"{pair}: losses {top.losses:.1e} apart over {steps} steps"]
    return "\n".join(lines)
