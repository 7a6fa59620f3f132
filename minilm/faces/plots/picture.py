"""A picture is a figure with a sentence that says how to read it, and an alt text made from its records.

Only matplotlib's objects are used, never pyplot, so there is no global state. Equal records give equal files.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

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
    "save_picture",
    "set_labels",
]

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # Okabe and Ito, 2008
INK, GREY, PALE = "#1f2933", "#6b7785", "#c3ccd5"
_FONT = "DejaVu Sans"  # ships with matplotlib, so that a picture is the same everywhere
_DPI = 150


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its explanation.

    Attributes:
        figure: the drawing.
        caption: one sentence that says how to read it.
        alt: what it shows, in words.
    """

    figure: Figure
    caption: str
    alt: str

    def png(self) -> bytes:
        """Return the picture as PNG."""
        return _render(self.figure, "png", {"Software": None})

    def svg(self) -> bytes:
        """Return the picture as SVG; letters are paths, so that it needs no font."""
        return _render(self.figure, "svg", {"Date": None, "Creator": None, "Title": self.alt})

    def __repr__(self) -> str:
        return f"Picture({self.alt.split('. ')[0]!r})"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        image = f'<img alt="{escape(self.alt)}" style="max-width:100%" src="data:image/png;base64,{data}">'
        return f"<figure>{image}<figcaption>{escape(self.caption)}</figcaption></figure>"


def save_picture(picture: Picture, path: str | Path) -> Path:
    """Write a picture to a file and return its path.

    An old picture is replaced only when the new one is complete.

    Args:
        picture: what to write.
        path: a file that ends in .png or .svg; a missing folder is made.

    Raises:
        MinilmError: for another ending, or if the file cannot be written; the old picture is then kept.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".png", ".svg"):
        raise MinilmError(f"a picture is saved as .png or .svg, got {path.name!r}; change the file's ending")
    try:
        write_file(path, picture.png() if kind == ".png" else picture.svg())
    except OSError as error:
        raise MinilmError(
            f"The picture {path} cannot be written: {error.strerror}; name another file"
        ) from error
    return path


def _render(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "minilm", "svg.fonttype": "path"}):
        figure.savefig(stream, format=kind, dpi=_DPI, metadata=metadata, facecolor="white")
    return stream.getvalue()


def panels(
    width: float,
    height: float,
    rows: int = 1,
    *,
    sharex: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make a figure with panels one above the other.

    Args:
        width: of the figure, in inches.
        height: of the figure, in inches.
        rows: how many panels.
        sharex: the panels have the same x axis.
        height_ratios: the relative heights of the panels; None makes them equal.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(rows, 1, squeeze=False, sharex=sharex, height_ratios=height_ratios)[:, 0])
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(PALE)
        panel.tick_params(colors=INK, length=3, labelsize=9)
        panel.set_axisbelow(True)
    return figure, axes


def set_labels(
    panel: Axes, title: str | None = None, x: str | None = None, y: str | None = None, above: float = 6
) -> None:
    """Write the title and the axis names of a panel. No text is read as a formula.

    Args:
        panel: the axes.
        title: the title above the panel; None for none.
        x: the name of the x axis; None for none.
        y: the name of the y axis; None for none.
        above: points between the panel and its title; more where marks are above the panel.
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
    """Return a token as a picture shows it: an escape for what the font cannot draw, clipped to `width`."""
    return clip(drawable(piece(text, raw)), width)


def drawable(text: str) -> str:
    """Return the text with an escape for every character that the font lacks."""
    return "".join(
        c if ord(c) in _characters() else c.encode("ascii", "backslashreplace").decode() for c in text
    )


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())
