"""A picture is a figure with a sentence that says how to read it and an alt text from its records.

Only matplotlib's objects are used, never pyplot, so there is no global state, and equal records give equal
files. What one picture shows is in the file named after it.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from minilm.atomic import write_file
from minilm.errors import MinilmError
from minilm.faces.layout import clip
from minilm.faces.visible import piece

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PALE",
    "VERMILLION",
    "Picture",
    "drawable",
    "label",
    "panels",
    "save",
    "write",
]

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito, 2008
INK, GREY, PALE = "#1f2933", "#6b7785", "#c3ccd5"
_FONT = "DejaVu Sans"  # ships with matplotlib, so that a picture is the same everywhere
_DPI = 150


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure, how to read it in one sentence, and what it shows in words."""

    figure: Figure
    caption: str
    alt: str

    def png(self) -> bytes:
        """The picture as PNG."""
        return _written(self.figure, "png", {"Software": None})

    def svg(self) -> bytes:
        """The picture as SVG, letters as paths, so that it needs no font."""
        return _written(self.figure, "svg", {"Date": None, "Creator": None, "Title": self.alt})

    def __repr__(self) -> str:
        return f"Picture({self.alt.split('. ')[0]!r})"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        image = f'<img alt="{escape(self.alt)}" style="max-width:100%" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{escape(self.caption)}</figcaption></figure>"


def save(picture: Picture, path: str | Path) -> Path:
    """Write a picture to a .png or .svg file and return its path; the folder is made where it is missing.

    A picture that stood there is replaced by the whole new one: it can be drawn again from its records.
    Raises MinilmError for another ending, and where the disk refuses; the old picture then stays.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".png", ".svg"):
        raise MinilmError(f"a picture is saved as .png or .svg, got {path.name!r}; change the file's ending")
    try:
        write_file(path, picture.png() if kind == ".png" else picture.svg())
    except OSError as error:
        raise MinilmError(f"The picture {path} cannot be written: {error.strerror}") from error
    return path


def _written(figure: Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minilm", "svg.fonttype": "path"}):
        figure.savefig(stream, format=kind, dpi=_DPI, metadata=metadata, facecolor="white")
    return stream.getvalue()


def panels(width: float, height: float, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure in inches with `rows` quiet axes one above the other."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, 1, squeeze=False, **options)[:, 0])
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(PALE)
        panel.tick_params(colors=INK, length=3, labelsize=9)
        panel.set_axisbelow(True)
    return figure, axes


def write(
    panel: Axes, title: str | None = None, x: str | None = None, y: str | None = None, above: float = 6
) -> None:
    """Title and axis names of a panel; no text is read as a formula.

    above: points between the panel and its title, more where marks stand on the panel.
    """
    if title is not None:
        shown = drawable(title)
        panel.set_title(
            shown, loc="left", fontsize=11, color=INK, fontweight="bold", parse_math=False, pad=above
        )
    if x is not None:
        panel.set_xlabel(x, fontsize=9, color=INK)
    if y is not None:
        panel.set_ylabel(y, fontsize=9, color=INK)


def label(text: str, raw: bytes | None = None, width: int = 18) -> str:
    """A token as it is written in a picture: what the font cannot draw is a visible escape."""
    return clip(drawable(piece(text, raw)), width)


def drawable(text: str) -> str:
    """The text with an escape for every character that the font lacks."""
    return "".join(
        c if ord(c) in _characters() else c.encode("ascii", "backslashreplace").decode() for c in text
    )


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())
