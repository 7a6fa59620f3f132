"""The inside of a model as pictures, one per record of minilm.inside; tables are in faces/inside.py.

`names` are the tokens as they are written, one per place; `of` names the logit that is split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from minilm.faces.numerals import fixed
from minilm.faces.plots.picture import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    VERMILLION,
    Picture,
    drawable,
    panels,
    set_labels,
)
from minilm.records import Array

if TYPE_CHECKING:
    from minilm.inside import HeadAttention, LayerGates, LayerLens, MemorySplit, Neighbour, UnitShares

__all__ = [
    "plot_attention",
    "plot_gates",
    "plot_lens",
    "plot_memory_split",
    "plot_neighbours",
    "plot_units",
]

_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, INK)
_MOST_UNITS = 40


def plot_gates(found: LayerGates, names: Sequence[str]) -> Picture:
    """Draw the mean activation of each gate over the tokens."""
    caption = (
        "Each line is one gate's mean activation over the units (of g its size): i lets in, f keeps, o shows."
    )
    return _draw_lines(found.opening, names, f"Gates of layer {found.layer}", caption, "mean activation")


def plot_memory_split(found: MemorySplit, names: Sequence[str], of: str) -> Picture:
    """Draw the share of each token in a logit."""
    caption = (
        "Each bar is what a token, through the cell, gives to the logit; with start and bias they add up."
    )
    return _draw_bars(found.parts.tolist(), names, f"Memory behind the {of}", caption, "share of the logit")


def plot_units(found: UnitShares, of: str) -> Picture:
    """Draw the shares of the hidden units in a logit, the largest first."""
    order = sorted(range(len(found.shares)), key=lambda unit: -abs(found.shares[unit]))[:_MOST_UNITS]
    caption = f"Each bar is what a hidden unit gives to the logit, the {_MOST_UNITS} largest of them."
    shares = [float(found.shares[unit]) for unit in order]
    return _draw_bars(shares, [f"unit {unit}" for unit in order], f"Units behind the {of}", caption, "share")


def plot_neighbours(found: Sequence[Neighbour], names: Sequence[str], of: str) -> Picture:
    """Draw the cosine of each neighbour."""
    caption = "Each bar is the cosine between two embeddings: 1 where they point the same way."
    return _draw_bars([n.cosine for n in found], names, f"Nearest to {of}", caption, "cosine")


def plot_attention(found: Sequence[HeadAttention], names: Sequence[str]) -> Picture:
    """Draw the attention of each head of a layer over the tokens."""
    heads = [f"head {one.head}" for one in found]
    caption = "Each row is a head; brighter is where it looks more from the last token. A row adds up to 1."
    title = f"Attention in layer {found[0].layer}"
    return _draw_grid(np.array([one.weights for one in found]), heads, names, title, caption, "weight")


def plot_lens(found: Sequence[LayerLens]) -> Picture:
    """Draw how sure each layer is of the final token, and of its own best one."""
    lines = {
        "p of the final token": np.exp([layer.logp for layer in found]),
        "p of its own best": np.array([layer.p[0] for layer in found]),
    }
    caption = (
        "How sure every layer would be, if the head read it: of the token that the model takes, and its own."
    )
    return _draw_lines(
        lines, [f"layer {layer.layer}" for layer in found], "Logit lens", caption, "probability"
    )


def _draw_lines(
    lines: Mapping[str, Array], names: Sequence[str], title: str, caption: str, y: str
) -> Picture:
    """Draw one line (T,) per entry over the T names."""
    figure, (panel,) = panels(_width(len(names)), 3.6)
    for colour, (name, values) in zip(_COLOURS, lines.items(), strict=False):
        panel.plot(range(len(names)), values, color=colour, marker="o", markersize=3, label=drawable(name))
    panel.legend(fontsize=9, frameon=False)
    _write_names(panel, names)
    set_labels(panel, title, None, y)
    facts = "; ".join(
        f"{name} from {fixed(float(v[0]))} to {fixed(float(v[-1]))}" for name, v in lines.items()
    )
    return Picture(figure, caption, f"{title}: {facts}.")


def _draw_bars(values: Sequence[float], names: Sequence[str], title: str, caption: str, y: str) -> Picture:
    """Draw one bar per name, blue above zero and vermillion below."""
    figure, (panel,) = panels(_width(len(names)), 3.6)
    panel.bar(range(len(names)), values, 0.8, color=[BLUE if v >= 0 else VERMILLION for v in values])
    panel.axhline(0, color=INK, linewidth=0.8)
    _write_names(panel, names)
    set_labels(panel, title, None, y)
    order = sorted(range(len(names)), key=lambda place: -abs(values[place]))[:5]
    facts = "; ".join(f"{names[place]} {fixed(float(values[place]), 3)}" for place in order)
    return Picture(figure, caption, f"{title}. Largest: {facts}.")


def _draw_grid(
    values: Array, rows: Sequence[str], columns: Sequence[str], title: str, caption: str, scale: str
) -> Picture:
    """Draw shares (R, C) from 0 to 1 as a grid, brighter for more."""
    figure, (panel,) = panels(_width(len(columns)), 1.6 + 0.32 * len(rows))
    image = panel.imshow(np.asarray(values, np.float64), aspect="auto", cmap="viridis", vmin=0, vmax=1)
    _write_names(panel, columns)
    panel.set_yticks(range(len(rows)), [drawable(row) for row in rows], parse_math=False)
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=panel, pad=0.01, fraction=0.03)
    bar.set_label(scale, fontsize=9, color=INK)
    set_labels(panel, title)
    best = [columns[int(np.argmax(row))] for row in np.asarray(values)]
    facts = "; ".join(f"{row} most at {name}" for row, name in zip(rows, best, strict=True))
    return Picture(figure, caption, f"{title}: {facts}.")


def _width(number: int) -> float:
    return min(max(6.0, 1.6 + 0.34 * number), 16.0)


def _write_names(panel: Axes, names: Sequence[str]) -> None:
    # at most 60 names, or they would cover each other
    every = max(1, -(-len(names) // 60))
    places = range(0, len(names), every)
    panel.set_xticks(list(places), [drawable(names[p]) for p in places], rotation=90, parse_math=False)
