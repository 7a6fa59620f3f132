"""What goes on inside a model as pictures: a course over tokens, signed bars, or a grid of shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    write,
)
from minilm.records import Array

__all__ = ["courses", "grid", "signed_bars"]

_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, INK)


def courses(lines: Mapping[str, Array], names: Sequence[str], title: str, caption: str, y: str) -> Picture:
    """One line per name over the tokens: lines (T,) each, names of the T tokens."""
    figure, (panel,) = panels(_width(len(names)), 3.6)
    for colour, (name, values) in zip(_COLOURS, lines.items(), strict=False):
        panel.plot(range(len(names)), values, color=colour, marker="o", markersize=3, label=drawable(name))
    panel.legend(fontsize=9, frameon=False)
    _tokens(panel, names)
    write(panel, title, None, y)
    facts = "; ".join(
        f"{name} from {fixed(float(v[0]))} to {fixed(float(v[-1]))}" for name, v in lines.items()
    )
    return Picture(figure, caption, f"{title}: {facts}.")


def signed_bars(values: Sequence[float], names: Sequence[str], title: str, caption: str, y: str) -> Picture:
    """A bar per name, blue above nothing and vermillion below."""
    figure, (panel,) = panels(_width(len(names)), 3.6)
    panel.bar(range(len(names)), values, 0.8, color=[BLUE if v >= 0 else VERMILLION for v in values])
    panel.axhline(0, color=INK, linewidth=0.8)
    _tokens(panel, names)
    write(panel, title, None, y)
    order = sorted(range(len(names)), key=lambda place: -abs(values[place]))[:5]
    facts = "; ".join(f"{names[place]} {fixed(float(values[place]), 3)}" for place in order)
    return Picture(figure, caption, f"{title}. Largest: {facts}.")


def grid(
    values: Array, rows: Sequence[str], columns: Sequence[str], title: str, caption: str, scale: str
) -> Picture:
    """Shares (R, C) from 0 to 1 as a grid, brighter for more."""
    figure, (panel,) = panels(_width(len(columns)), 1.6 + 0.32 * len(rows))
    image = panel.imshow(np.asarray(values, np.float64), aspect="auto", cmap="viridis", vmin=0, vmax=1)
    _tokens(panel, columns)
    panel.set_yticks(range(len(rows)), [drawable(row) for row in rows], parse_math=False)
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=panel, pad=0.01, fraction=0.03)
    bar.set_label(scale, fontsize=9, color=INK)
    write(panel, title)
    best = [columns[int(np.argmax(row))] for row in np.asarray(values)]
    facts = "; ".join(f"{row} most at {name}" for row, name in zip(rows, best, strict=True))
    return Picture(figure, caption, f"{title}: {facts}.")


def _width(number: int) -> float:
    return min(max(6.0, 1.6 + 0.34 * number), 16.0)


def _tokens(panel: Axes, names: Sequence[str]) -> None:
    every = max(1, -(-len(names) // 60))
    places = range(0, len(names), every)
    panel.set_xticks(list(places), [drawable(names[p]) for p in places], rotation=90, parse_math=False)
