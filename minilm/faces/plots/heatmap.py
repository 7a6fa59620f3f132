"""A whole run in one picture: steps from left to right, candidates by rank from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.patches import Rectangle

from minilm.faces.layout import clip
from minilm.faces.numerals import probability
from minilm.faces.plots.picture import INK, VERMILLION, Picture, label, panels, set_labels
from minilm.faces.visible import piece
from minilm.records import Candidate, Step

__all__ = ["plot_heatmap"]

_CAPTION = (
    "Each column is a step with its candidates from the best down, brighter for more probable; "
    "the token with a frame was chosen, and its name is below."
)
_LEGIBLE = 26  # steps; with more, the cells are too narrow for words


def plot_heatmap(steps: Sequence[Step], ranks: int = 8) -> Picture:
    """Draw the tokens by rank over the steps, coloured by the probability before the stages.

    Args:
        steps: the run.
        ranks: how many rows to draw; the rank of a chosen token below them is written above its column.
    """
    width = min(max(6.0, 1.6 + 0.82 * len(steps)), 16.0)
    figure, (panel,) = panels(width, 1.7 + 0.38 * ranks)
    values = np.full((ranks, max(len(steps), 1)), np.nan)
    for x, step in enumerate(steps):
        for c in step.decision.candidates:
            if c.rank <= ranks:
                values[c.rank - 1, x] = c.p_model
    image = panel.imshow(values, aspect="auto", cmap="viridis", norm=PowerNorm(0.5, 0, 1))
    if len(steps) <= _LEGIBLE:
        _write_tokens(panel, steps, ranks, room=max(5, int((width - 2) * 12 / max(len(steps), 1))))
    _frame_chosen(panel, steps, ranks)
    _name_axes(panel, steps, ranks)
    bar = figure.colorbar(image, ax=panel, pad=0.01, fraction=0.03)
    bar.set_label("probability", fontsize=9, color=INK)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return Picture(figure, _CAPTION, _describe(steps, ranks))


def _write_tokens(panel: Axes, steps: Sequence[Step], ranks: int, room: int) -> None:
    for x, step in enumerate(steps):
        for c in step.decision.candidates:
            if c.rank <= ranks:
                ink = "black" if c.p_model > 0.35 else "white"
                text = _write_token(c, room)
                panel.text(
                    x, c.rank - 1, text, ha="center", va="center", fontsize=8, color=ink, parse_math=False
                )


def _write_token(c: Candidate, room: int) -> str:
    """Return the token without its quotes, unless it consists of spaces alone."""
    shown = label(c.text, c.bytes, 10 * room)
    if not shown.startswith('"'):
        return clip(shown, room)
    bare = shown[1:].removesuffix('"').replace('\\"', '"').strip()
    return clip(bare or shown, room)


def _frame_chosen(panel: Axes, steps: Sequence[Step], ranks: int) -> None:
    for x, step in enumerate(steps):
        chosen = step.decision.chosen
        if chosen.rank <= ranks:
            corner = (x - 0.47, chosen.rank - 1.46)
            panel.add_patch(Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=VERMILLION, linewidth=2.2))
        else:
            at = {"xycoords": panel.get_xaxis_transform(), "textcoords": "offset points", "xytext": (0, 3)}
            panel.annotate(f"#{chosen.rank}", (x, 1), **at, ha="center", fontsize=8, color=VERMILLION)


def _name_axes(panel: Axes, steps: Sequence[Step], ranks: int) -> None:
    every = max(1, -(-len(steps) // 48))
    places = list(range(0, len(steps), every))
    names = [label(steps[x].decision.chosen.text, steps[x].decision.chosen.bytes, 12) for x in places]
    panel.set_xticks(places, names, rotation=90, parse_math=False)
    panel.set_yticks(range(ranks), [str(rank) for rank in range(1, ranks + 1)])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_facecolor("#eef1f4")
    marked = any(step.decision.chosen.rank > ranks for step in steps)
    title = "What the model considered, step by step"
    set_labels(panel, title, "chosen token", "rank", above=18 if marked else 6)


def _describe(steps: Sequence[Step], ranks: int) -> str:
    chosen = (step.decision.chosen for step in steps)
    facts = [f"{piece(c.text, c.bytes)} rank {c.rank} p {probability(c.p_model)}" for c in chosen]
    return f"Heatmap of {len(steps)} steps and {ranks} ranks. Chosen: {'; '.join(facts)}."
