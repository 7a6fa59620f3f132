"""The ladder of two frameworks as bars: how far their losses part with each correction, on a log scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.plots.picture import BLUE, ORANGE, VERMILLION, Picture, drawable, panels, write

__all__ = ["ladder"]

_SMALLEST = 1e-17  # drawn for a difference of 0, which has no logarithm
_CAPTION = (
    "Each bar is the largest difference between the losses of two frameworks over a run, on a scale of "
    "powers of ten; plain bars add one correction after the other, hatched ones leave one out, and left of "
    "the dashed line the two count as equal."
)


def ladder(rungs: Sequence[Any], reference: str, suspect: str, tolerance: float | None = None) -> Picture:
    """Bars of the rungs of minilm.comparison.defaults.ladder, the first on top; tolerance: a dashed line."""
    figure, (panel,) = panels(8, 1.6 + 0.34 * len(rungs))
    for place, rung in enumerate(rungs):
        colour, hatch = (ORANGE, "//") if rung.left_out else (BLUE, "")
        width = max(rung.losses, _SMALLEST)
        panel.barh(place, width, height=0.7, edgecolor="white", color=colour, hatch=hatch)
        panel.text(width, place, f" {rung.losses:.1e}", va="center", fontsize=9)
    panel.set_xscale("log")
    panel.set_yticks(range(len(rungs)), [drawable(rung.label) for rung in rungs])
    panel.invert_yaxis()
    panel.grid(axis="x", color="#e6eaee")
    panel.set_axisbelow(True)
    panel.set_xlim(right=10 * max((rung.losses for rung in rungs), default=1.0))
    if tolerance is not None:
        panel.axvline(tolerance, color=VERMILLION, linestyle="--", linewidth=1.2)
    write(
        panel,
        drawable(f"{suspect} beside {reference}"),
        "largest difference of the losses (nats per token)",
        "",
    )
    return Picture(figure, _CAPTION, _alt(rungs, reference, suspect))


def _alt(rungs: Sequence[Any], reference: str, suspect: str) -> str:
    facts = "; ".join(f"{rung.label} {rung.losses:.1e}" for rung in rungs)
    return f"Differences between the losses of {suspect} and {reference}: {facts or 'none'}."
