"""Surprisal over a text: where the model was taken unawares, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minilm.faces.numerals import count, fixed
from minilm.faces.plots.picture import BLUE, GREY, ORANGE, Picture, label, panels, write
from minilm.faces.visible import piece

if TYPE_CHECKING:
    from minilm.generation.score import TokenScore

__all__ = ["surprisal"]

_CAPTION = (
    "Each bar is a token's surprisal (-ln p, nats), orange where it was not the most likely one; the line is "
    "the entropy, what the model itself expected to be surprised by."
)
_LEGIBLE = 60  # tokens; with more, the names would lie over one another


def surprisal(tokens: Sequence[TokenScore]) -> Picture:
    """Surprisal and entropy in nats over the tokens of a text, in their order."""
    width = min(max(6.0, 1.2 + 0.27 * len(tokens)), 16.0)
    figure, (panel,) = panels(width, 3.8)
    places = range(len(tokens))
    heights = [0.0 if t.surprisal is None else t.surprisal for t in tokens]
    finite = [h for h in heights if np.isfinite(h)]
    heights = [min(h, max(finite, default=0.0) + 1) for h in heights]
    colours = [BLUE if t.rank == 1 else ORANGE for t in tokens]
    panel.bar(places, heights, 0.8, color=colours)
    expected = [np.nan if t.entropy is None else t.entropy for t in tokens]
    panel.plot(places, expected, color=GREY, linewidth=1.2, drawstyle="steps-mid", label="entropy")
    panel.legend(fontsize=9, frameon=False)
    panel.set_xlim(-0.6, max(len(tokens), 1) - 0.4)
    if len(tokens) <= _LEGIBLE:
        names = [label(t.text, t.bytes, 12) for t in tokens]
        panel.set_xticks(places, names, rotation=90, parse_math=False)
    write(panel, "Surprisal over the text", None if len(tokens) <= _LEGIBLE else "token", "nats")
    return Picture(figure, _CAPTION, _alt(tokens))


def _alt(tokens: Sequence[TokenScore]) -> str:
    scored = sorted((t for t in tokens if t.surprisal is not None), key=lambda t: -(t.surprisal or 0.0))
    worst = "; ".join(
        f"{piece(t.text, t.bytes)} {fixed(t.surprisal or 0.0)} nats, rank {t.rank}" for t in scored[:5]
    )
    return f"Surprisal of {count(len(scored))} tokens. Most surprising: {worst or 'none scored'}."
