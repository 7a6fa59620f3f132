"""A report as one page of HTML: prose, pictures, steps, tables and texts. It loads nothing from elsewhere.

A picture is anything with a caption, an alt text and svg(), so this file needs no plotting library.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Protocol

from minilm.faces.html.fragment import fragment
from minilm.faces.html.marks import table, words
from minilm.records import Step

__all__ = ["Drawn", "Section", "Table", "report"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# Light and dark, on a screen, on a wall and on paper. The variables are those that marks.py uses.
_STYLE = """
:root { color-scheme: light dark; --ink:#1f2933; --paper:#fbfaf7; --dim:#52606d; --line:#d9dee3;
  --accent:#005a8c; --card:#fff; --before:#9aa5b1; --after:#0072B2; --chosen:#E69F00; --new:#ffe3a3;
  --track:#e4e7eb; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8eaed; --paper:#16191d; --dim:#aab4bf; --line:#3a424b;
  --accent:#7cc4f0; --card:#1f242a; --before:#77838f; --after:#56B4E9; --chosen:#E69F00; --new:#6b4e00;
  --track:#39414a; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--paper); color:var(--ink); font:17px/1.6 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width:62rem; margin:0 auto; padding:0 1.5rem; }
header { padding-top:3rem; }
h1 { font-size:2.2rem; line-height:1.2; margin:0 0 .5rem; letter-spacing:-.01em; }
h2 { font-size:1.5rem; line-height:1.25; margin:3rem 0 .6rem; padding-top:.6rem;
  border-top:3px solid var(--accent); }
h3 { font-size:1.1rem; margin:1.6rem 0 .3rem; }
p { max-width:44rem; margin:.6rem 0; }
.lead { font-size:1.15rem; color:var(--dim); }
nav ol { padding-left:1.4rem; columns:2 20rem; margin:1rem 0 0; }
a { color:var(--accent); }
figure { margin:1.5rem 0; }
figure img { display:block; width:100%; height:auto; background:#fff; border:1px solid var(--line);
  border-radius:8px; padding:.6rem; }
figcaption { color:var(--dim); font-size:.95rem; max-width:44rem; margin-top:.5rem; }
pre { white-space:pre-wrap; overflow-wrap:anywhere; background:var(--card); border:1px solid var(--line);
  border-radius:8px; padding:.8rem 1rem; font:15px/1.55 ui-monospace, "Cascadia Mono", Menlo, Consolas,
  monospace; }
code { font-family:ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size:.95em; }
.texts { display:grid; grid-template-columns:repeat(auto-fit,minmax(16rem,1fr)); gap:0 1.2rem; }
.wide { overflow-x:auto; margin:1rem 0; }
.wide caption { text-align:left; color:var(--dim); font-size:.95rem; padding-bottom:.3rem; }
.steps > div { background:var(--card); }
summary { cursor:pointer; color:var(--accent); }
footer { color:var(--dim); font-size:.9rem; padding:3rem 1.5rem; }
@media print { body { background:#fff; font-size:11pt; } h2 { break-after:avoid; } nav { display:none; }
  figure, .steps > div, table, pre { break-inside:avoid; }
  * { print-color-adjust:exact; -webkit-print-color-adjust:exact; } }
"""


class Drawn(Protocol):
    """The parts of a picture that a report needs."""

    @property
    def caption(self) -> str:
        """Return one sentence that says how to read the picture."""
        ...

    @property
    def alt(self) -> str:
        """Return what the picture shows, in words."""
        ...

    def svg(self) -> bytes:
        """Return the picture as an SVG document."""
        ...


@dataclass(frozen=True)
class Table:
    """A table of plain text.

    Attributes:
        heads: the headings of the columns.
        rows: the cells of each row.
        caption: a line above the table.
        sides: a letter for each column: l aligns it left, r right; "" aligns all left.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    sides: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a report; it shows only the fields that are not empty.

    Attributes:
        heading: the title of the part.
        prose: plain text, with an empty line between paragraphs.
        pictures: pictures with their captions.
        steps: the steps of a run, each as a card with the text so far.
        tables: tables.
        texts: generated texts, by the name of the model that wrote them.
        prompt: the text before the first of `steps`.
    """

    heading: str
    prose: str = ""
    pictures: Sequence[Drawn] = ()
    steps: Sequence[Step] = ()
    tables: Sequence[Table] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""


def report(title: str, sections: Sequence[Section], *, lead: str = "", closing: str = "") -> str:
    """Return the whole page; write it to a file as UTF-8.

    It has no script, and no font, image or style from elsewhere; a content security policy forbids them.
    Every text is escaped.

    Args:
        title: the title of the page.
        sections: the parts, in their order.
        lead: one or two sentences under the title.
        closing: a line at the bottom.
    """
    entries = "".join(f'<li><a href="#s{n}">{words(s.heading)}</a></li>' for n, s in enumerate(sections, 1))
    contents = f'<nav aria-label="Contents"><ol>{entries}</ol></nav>' if len(sections) > 1 else ""
    body = "\n".join(_render_section(number, section) for number, section in enumerate(sections, 1))
    under = f'<p class="lead">{words(lead)}</p>' if lead else ""
    foot = f"<footer>{words(closing)}</footer>" if closing else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{words(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{words(title)}</h1>{under}{contents}</header>\n"
        f"<main>\n{body}\n</main>\n{foot}\n</body>\n</html>\n"
    )


def _render_section(number: int, section: Section) -> str:
    parts = [f'<h2 id="h{number}">{words(section.heading)}</h2>']
    parts += [f"<p>{words(part)}</p>" for part in section.prose.split("\n\n") if part.strip()]
    if section.texts:
        parts.append(
            '<div class="texts">'
            + "".join(map(_render_text, section.texts, section.texts.values()))
            + "</div>"
        )
    parts += [_render_table(value) for value in section.tables]
    parts += [_render_figure(picture) for picture in section.pictures]
    if section.steps:
        parts.append(f'<div class="steps">{_render_steps(section)}</div>')
    return f'<section id="s{number}" aria-labelledby="h{number}">\n' + "\n".join(parts) + "\n</section>"


def _render_text(name: str, text: str) -> str:
    return f"<div><h3>{words(name)}</h3><pre>{words(text)}</pre></div>"


def _render_table(value: Table) -> str:
    sides = value.sides or "l" * len(value.heads)
    rows = [[words(cell) for cell in row] for row in value.rows]
    shown = table([words(head) for head in value.heads], rows, sides)
    if value.caption:
        start = shown.index(">") + 1
        shown = f"{shown[:start]}<caption>{words(value.caption)}</caption>{shown[start:]}"
    return f'<div class="wide">{shown}</div>'


def _render_figure(picture: Drawn) -> str:
    data = base64.b64encode(picture.svg()).decode()
    image = f'<img alt="{escape(picture.alt)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{words(picture.caption)}</figcaption></figure>"


def _render_steps(section: Section) -> str:
    cards, so_far = [], section.prompt
    for step in section.steps:
        cards.append(fragment(step, so_far=so_far))
        so_far += step.new_text
    return "".join(cards)
