"""One step under every draw and every value of a knob, coloured by the token that is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from minilm.faces.numerals import fixed
from minilm.faces.plots.picture import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALE,
    VERMILLION,
    Picture,
    label,
    panels,
    write,
)

__all__ = ["draw_map"]

_COLOURS = [BLUE, ORANGE, GREEN, VERMILLION, "#CC79A7", "#56B4E9", "#F0E442"]  # Okabe and Ito, 2008
_CAPTION = (
    "Each colour is a token; go to the value of the knob and up to the height of the draw to see which one "
    "is taken. The dashed line is the draw of the recorded run and the cross where that run stood."
)


def draw_map(drawn: Any, texts: Callable[[int], tuple[str, bytes]]) -> Picture:
    """The picture of a DrawMap; texts: id -> (text, bytes). The seven commonest tokens have a colour."""
    found, counts = np.unique(drawn.ids, return_counts=True)
    common = found[np.argsort(-counts, kind="stable")[: len(_COLOURS)]].tolist()
    shades = np.full(drawn.ids.shape, len(common))  # (M, N)
    for place, token_id in enumerate(common):
        shades[drawn.ids == token_id] = place
    colours = [*_COLOURS[: len(common)], PALE]
    figure, (panel,) = panels(9, 5)
    panel.pcolormesh(
        _edges(drawn.values), np.linspace(0, 1, len(drawn.draws) + 1), shades,
        cmap=ListedColormap(colours), vmin=-0.5, vmax=len(common) + 0.5, rasterized=True,
    )  # fmt: skip
    if drawn.u is not None:
        panel.axhline(drawn.u, color=INK, linestyle="--", linewidth=1.2)
        if drawn.value is not None and drawn.values[0] <= drawn.value <= drawn.values[-1]:
            panel.plot([drawn.value], [drawn.u], "X", color="white", markeredgecolor=INK, markersize=11)
    write(panel, f"Step {drawn.index + 1}: what each draw would have taken", drawn.name, "draw u")
    names = [label(*texts(token_id)) for token_id in common]
    keys = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=False)]
    if len(found) > len(common):
        keys.append(Patch(color=PALE, label=f"{len(found) - len(common)} others"))
    legend = panel.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return Picture(figure, _CAPTION, _alt(drawn, names))


def _edges(values: Any) -> Any:
    """The borders (N + 1) of cells around ascending values (N,)."""
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _alt(drawn: Any, names: list[str]) -> str:
    spread = f"{drawn.name} from {fixed(drawn.values[0])} to {fixed(drawn.values[-1])}"
    stood = "nothing was drawn" if drawn.u is None else f"the draw was {fixed(drawn.u, 4)}"
    return f"Map of draw by {spread} for step {drawn.index + 1}; {stood}. Commonest: {', '.join(names)}."
