"""The ladder of two frameworks as bars: how much their losses differ with each correction, on a log scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minilm.faces.plots.picture import BLUE, ORANGE, VERMILLION, Picture, drawable, panels, set_labels

if TYPE_CHECKING:
    from minilm.comparison.defaults.ladder import LadderStep

__all__ = ["plot_ladder"]

# Drawn for a difference of 0, which has no logarithm.
_SMALLEST = 1e-17

_CAPTION = (
    "Each bar is the largest difference between the losses of two frameworks over a run, on a scale of "
    "powers of ten; plain bars add one correction after the other, hatched ones leave one out, and left of "
    "the dashed line the two count as equal."
)


def plot_ladder(
    steps: Sequence[LadderStep], reference: str, suspect: str, tolerance: float | None = None
) -> Picture:
    """Draw a bar for each step of the ladder, the first on top.

    Args:
        steps: the records of minilm.comparison.defaults.ladder.apply_corrections.
        reference: the name of the first framework.
        suspect: the name of the second framework.
        tolerance: where to draw a dashed line; None draws none.
    """
    figure, (panel,) = panels(8, 1.6 + 0.34 * len(steps))
    for place, step in enumerate(steps):
        colour, hatch = (ORANGE, "//") if step.left_out else (BLUE, "")
        width = max(step.losses, _SMALLEST)
        panel.barh(place, width, height=0.7, edgecolor="white", color=colour, hatch=hatch)
        panel.text(width, place, f" {step.losses:.1e}", va="center", fontsize=9)
    panel.set_xscale("log")
    panel.set_yticks(range(len(steps)), [drawable(step.label) for step in steps])
    panel.invert_yaxis()
    panel.grid(axis="x", color="#e6eaee")
    panel.set_axisbelow(True)
    panel.set_xlim(right=10 * max((step.losses for step in steps), default=1.0))
    if tolerance is not None:
        panel.axvline(tolerance, color=VERMILLION, linestyle="--", linewidth=1.2)
    title = drawable(f"{suspect} compared with {reference}")
    set_labels(panel, title, "largest difference of the losses (nats per token)", "")
    return Picture(figure, _CAPTION, _describe(steps, reference, suspect))


def _describe(steps: Sequence[LadderStep], reference: str, suspect: str) -> str:
    facts = "; ".join(f"{step.label} {step.losses:.1e}" for step in steps)
    return f"Differences between the losses of {suspect} and {reference}: {facts or 'none'}."
