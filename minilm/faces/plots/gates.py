"""Gates as pictures: i, f, g, o, c, h of every unit over a text, and their means over a training.

It renders GateMoment (minilm.training.timeline.gates) and computes nothing but what a picture must: the order
of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from minilm.faces.numerals import fixed
from minilm.faces.plots.picture import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILLION,
    Picture,
    label,
    panels,
    write,
)

if TYPE_CHECKING:
    from minilm.training.timeline.gates import GateMoment

__all__ = ["gates_over_text", "gates_over_training"]

_NAMES = {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "cell", "h": "hidden"}
_COLOURS = {"i": BLUE, "f": VERMILLION, "g": GREY, "o": GREEN}
_OVER_TEXT = (
    "Each column is a token and each line a unit of the layer: a gate is white where it is closed and dark "
    "where it is open; candidate, cell and hidden state are blue below zero and red above."
)
_OVER_TRAINING = (
    "Each line is the mean of a gate over all units and tokens of one text, read again at every place of the "
    "training; the lower panel shows how much of i, f and o stands closed or open for good."
)


def gates_over_text(moment: GateMoment, pieces: Sequence[tuple[str, bytes]]) -> Picture:
    """Six panels (H, T), one above the other; units in the order of their mean forget gate.

    pieces: text and bytes of every token.
    """
    tokens = len(moment.ids)
    figure, axes = panels(min(max(6.0, 1.5 + 0.4 * tokens), 16.0), 11, 6, sharex=True)
    order = np.argsort(-moment.f.mean(axis=0), kind="stable")
    for panel, name in zip(axes, _NAMES, strict=True):
        values = getattr(moment, name)[:, order].T  # (H, T)
        signed = name in "gch"
        bound = max(1.0, float(np.abs(values).max())) if name == "c" else 1.0
        image = panel.imshow(
            values,
            aspect="auto",
            interpolation="nearest",
            cmap="RdBu_r" if signed else "Greys",
            vmin=-bound if signed else 0,
            vmax=bound,
        )
        figure.colorbar(image, ax=panel, pad=0.01, fraction=0.03).ax.tick_params(labelsize=7)
        write(panel, None, None, f"{_NAMES[name]} {name}")
        panel.set_yticks([])
    names = [label(text, raw, 12) for text, raw in pieces]
    axes[-1].set_xticks(range(tokens), names, rotation=90, parse_math=False)
    write(axes[0], f"Layer {moment.layer} reading, after {moment.index} updates")
    return Picture(figure, _OVER_TEXT, _alt(moment))


def gates_over_training(moments: Sequence[GateMoment]) -> Picture:
    """Means of i, f, g and o over the updates made, and the share of i, f and o that is saturated."""
    figure, (above, below) = panels(8, 5.4, 2, sharex=True, height_ratios=(3, 1))
    steps = [moment.index for moment in moments]
    rows = [moment.rows() for moment in moments]
    for name, colour in _COLOURS.items():
        means = [float(np.mean([getattr(row, name) for row in one])) for one in rows]
        above.plot(steps, means, marker="o", markersize=4, color=colour, label=f"{_NAMES[name]} {name}")
    saturated = [float(np.mean([row.saturated for row in one])) for one in rows]
    below.plot(steps, saturated, marker="s", markersize=4, color=ORANGE)
    above.axhline(0, color=INK, linewidth=0.5)
    below.set_ylim(0, max(0.05, *saturated, 0) * 1.1)
    above.legend(fontsize=9, frameon=False, ncols=4)
    write(above, "Gates while learning", None, "mean")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    write(below, None, "updates made", "saturated")
    ends = (
        f"forget gate from {fixed(_mean_f(moments[0]), 3)} to {fixed(_mean_f(moments[-1]), 3)}"
        if moments
        else ""
    )
    return Picture(figure, _OVER_TRAINING, f"Mean gates at {len(steps)} places of a training. {ends}.")


def _mean_f(moment: GateMoment) -> float:
    return float(moment.f.mean())


def _alt(moment: GateMoment) -> str:
    means = ", ".join(f"{name} {fixed(float(getattr(moment, name).mean()), 3)}" for name in _NAMES)
    return f"Gates of {len(moment.ids)} tokens and {moment.i.shape[1]} units. Means: {means}."
