"""Which picture shows which look inside; matplotlib is loaded only when one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["save_picture"]


def save_picture(path: str, *, names: Sequence[str] = (), of: str = "", **found: Any) -> Path:
    """Draw what was found (gates, memory, heads, layers, near or units) into a file, and say where."""
    from minilm.faces.plots import Picture, save

    ((kind, record),) = found.items()
    picture: Picture = _PICTURES[kind](record, list(names), of)
    return save(picture, path)


def _gates(found: Any, names: list[str], _: str) -> Any:
    from minilm.faces.plots.inside import courses

    caption = (
        "Each line is one gate's mean activation over the units (of g its size): i lets in, f keeps, o shows."
    )
    return courses(found.opening, names, f"Gates of layer {found.layer}", caption, "mean activation")


def _memory(found: Any, names: list[str], of: str) -> Any:
    from minilm.faces.plots.inside import signed_bars

    caption = (
        "Each bar is what a token, through the cell, gives to the logit; with start and bias they add up."
    )
    return signed_bars(found.parts.tolist(), names, f"Memory behind the {of}", caption, "share of the logit")


def _units(found: Any, _: list[str], of: str) -> Any:
    from minilm.faces.plots.inside import signed_bars

    order = sorted(range(len(found.shares)), key=lambda unit: -abs(found.shares[unit]))[:40]
    caption = "Each bar is what a hidden unit gives to the logit, the 40 largest of them."
    shares = [float(found.shares[unit]) for unit in order]
    return signed_bars(shares, [f"unit {unit}" for unit in order], f"Units behind the {of}", caption, "share")


def _near(found: Any, names: list[str], of: str) -> Any:
    from minilm.faces.plots.inside import signed_bars

    caption = "Each bar is the cosine between two embeddings: 1 where they point the same way."
    return signed_bars([n.cosine for n in found], names, f"Nearest to {of}", caption, "cosine")


def _heads(found: Any, names: list[str], _: str) -> Any:
    from minilm.faces.plots.inside import grid

    rows = [f"head {head.head}" for head in found]
    caption = "Each row is a head; brighter is where it looks more from the last token. A row adds up to 1."
    title = f"Attention in layer {found[0].layer}"
    return grid(np.array([head.weights for head in found]), rows, names, title, caption, "weight")


def _layers(found: Any, _: list[str], __: str) -> Any:
    from minilm.faces.plots.inside import courses

    lines = {
        "p of the final token": np.exp([layer.logp for layer in found]),
        "p of its own best": np.array([layer.p[0] for layer in found]),
    }
    caption = (
        "How sure every layer would be, if the head read it: of the token that the model takes, and its own."
    )
    return courses(lines, [f"layer {layer.layer}" for layer in found], "Logit lens", caption, "probability")


_PICTURES = {
    "gates": _gates,
    "memory": _memory,
    "units": _units,
    "near": _near,
    "heads": _heads,
    "layers": _layers,
}
