"""The smallest pieces of HTML: escaped text, bars, strips and tables, with their styles inline.

Colours are variables with a default: a page can set them for dark and light, and a notebook need not. Words
beside a colour always say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from minilm.faces.layout import count_cells
from minilm.faces.numerals import fixed, probability
from minilm.faces.visible import piece, visible
from minilm.records import Array

__all__ = ["code", "draw_strip", "probability_bar", "table", "token", "vector_strip", "words"]

_SHORT = 24  # columns: most tokens
_RULE = "border-bottom:1px solid var(--line,rgba(128,128,128,.3));padding:.15em .7em .15em 0"


def words(text: str, keep: str = "\n") -> str:
    """Return any text as HTML text: hidden characters as visible escapes, then escaped for HTML."""
    return escape(visible(text, keep), quote=True)


def token(text: str, raw: bytes | None = None) -> str:
    """Return a token in quotes, as HTML code; its spaces are kept."""
    return code(piece(text, raw))


def code(shown: str) -> str:
    """Return a visible text as HTML code; a short one stays on one line."""
    space = "pre" if count_cells(shown) <= _SHORT else "pre-wrap"
    return f'<code style="white-space:{space};background:none;color:inherit">{escape(shown)}</code>'


def probability_bar(p: float, colour: str) -> str:
    """Return a probability as its number and a bar of up to 7 em, in a CSS colour."""
    width = max(0.0, min(1.0, p)) * 7
    shape = f"display:inline-block;vertical-align:middle;height:.7em;border-radius:2px;width:{width:.2f}em"
    number = f'<span style="display:inline-block;min-width:3.4em;padding-right:.4em">{probability(p)}</span>'
    return (
        f'<span style="white-space:nowrap">{number}<span style="{shape};background:{colour}"></span></span>'
    )


def draw_strip(u: float, low: float, high: float) -> str:
    """Return the unit interval as a strip, with the chosen token's part and the draw on it."""
    base = "position:relative;height:.9em;max-width:28em;border-radius:3px"
    part = f"position:absolute;top:0;bottom:0;left:{low:.4%};width:{high - low:.4%}"
    mark = f"position:absolute;top:-.2em;bottom:-.2em;left:{u:.4%};width:2px;background:currentColor"
    said = f"the draw {fixed(u, 4)} in the interval from {fixed(low, 4)} to {fixed(high, 4)}"
    inner = f'<div style="{part};background:var(--chosen,#E69F00)"></div><div style="{mark}"></div>'
    ground = f"{base};background:var(--track,rgba(128,128,128,.25))"
    return f'<div role="img" aria-label="{said}" style="{ground}">{inner}</div>'


def vector_strip(values: Array, most: int = 96) -> str:
    """Return the first numbers of a vector (E,) as a row of boxes: orange above 0, blue below 0."""
    shown = values[:most]
    top = max((abs(float(v)) for v in shown), default=0.0) or 1.0
    boxes = "".join(
        f'<rect x="{place}" width="1.04" height="6" fill="{"#D55E00" if v > 0 else "#0072B2"}" '
        f'fill-opacity="{abs(float(v)) / top:.2f}"/>'
        for place, v in enumerate(shown)
    )
    said = f"{len(shown)} of {len(values)} numbers of the vector, the largest {top:.2f} from 0"
    box = f'viewBox="0 0 {max(len(shown), 1)} 6" preserveAspectRatio="none"'
    size = "width:100%;max-width:28em;height:.9em"
    return f'<svg role="img" aria-label="{said}" {box} style="{size}">{boxes}</svg>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], sides: str, bold: int | None = None) -> str:
    """Return a table.

    Args:
        heads: the headings, as HTML.
        rows: the cells of each row, as HTML.
        sides: a letter for each column: l aligns it left, r right.
        bold: the number of a row that is bold, from 0.
    """
    places = ["left" if side == "l" else "right" for side in sides]
    head = "".join(_cell("th", name, place) for name, place in zip(heads, places, strict=True))
    body = "".join(_line(row, places, number == bold) for number, row in enumerate(rows))
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93em;color:inherit"
    return f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _line(row: Sequence[str], places: Sequence[str], stressed: bool) -> str:
    weight = ' style="font-weight:700"' if stressed else ""
    parts = "".join(_cell("td", cell, place) for cell, place in zip(row, places, strict=True))
    return f"<tr{weight}>{parts}</tr>"


def _cell(tag: str, content: str, place: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="text-align:{place};{_RULE}">{content}</{tag}>'
