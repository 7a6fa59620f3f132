"""A report as one page of HTML: prose, pictures, steps, tables and texts, and nothing from elsewhere.

A picture is anything with a caption, an alt text and svg(); so this file needs no plotting library.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Protocol

from minilm.faces.html.fragment import fragment
from minilm.faces.html.marks import table, words
from minilm.faces.html.style import STYLE
from minilm.records import Step

__all__ = ["Drawn", "Section", "Table", "report"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


class Drawn(Protocol):
    """A picture, as the report needs it."""

    @property
    def caption(self) -> str:
        """One sentence that says how to read it."""
        ...

    @property
    def alt(self) -> str:
        """What it shows, in words."""
        ...

    def svg(self) -> bytes:
        """The picture as an SVG document."""
        ...


@dataclass(frozen=True)
class Table:
    """Text cells under headings; sides: l or r for each column, all left unless given."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    sides: str = ""


@dataclass(frozen=True)
class Section:
    """One part of a report; what is empty is left out.

    prose: plain text, an empty line between paragraphs; steps: as cards, in the order given, with the
    text growing from `prompt`; texts: what was written, by the name of who wrote it.
    """

    heading: str
    prose: str = ""
    pictures: Sequence[Drawn] = ()
    steps: Sequence[Step] = ()
    tables: Sequence[Table] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""


def report(title: str, sections: Sequence[Section], *, lead: str = "", closing: str = "") -> str:
    """The whole page, ready to be written to a file as UTF-8.

    lead: a sentence or two under the title; closing: a line at the foot. No script, no font, image or
    style from elsewhere, held by a content security policy; every text is escaped.
    """
    entries = "".join(f'<li><a href="#s{n}">{words(s.heading)}</a></li>' for n, s in enumerate(sections, 1))
    contents = f'<nav aria-label="Contents"><ol>{entries}</ol></nav>' if len(sections) > 1 else ""
    body = "\n".join(_section(number, section) for number, section in enumerate(sections, 1))
    under = f'<p class="lead">{words(lead)}</p>' if lead else ""
    foot = f"<footer>{words(closing)}</footer>" if closing else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{words(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{words(title)}</h1>{under}{contents}</header>\n"
        f"<main>\n{body}\n</main>\n{foot}\n</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    parts = [f'<h2 id="h{number}">{words(section.heading)}</h2>']
    parts += [f"<p>{words(part)}</p>" for part in section.prose.split("\n\n") if part.strip()]
    if section.texts:
        parts.append(
            '<div class="texts">' + "".join(map(_text, section.texts, section.texts.values())) + "</div>"
        )
    parts += [_table(value) for value in section.tables]
    parts += [_figure(picture) for picture in section.pictures]
    if section.steps:
        parts.append(f'<div class="steps">{_steps(section)}</div>')
    return f'<section id="s{number}" aria-labelledby="h{number}">\n' + "\n".join(parts) + "\n</section>"


def _text(name: str, text: str) -> str:
    return f"<div><h3>{words(name)}</h3><pre>{words(text)}</pre></div>"


def _table(value: Table) -> str:
    sides = value.sides or "l" * len(value.heads)
    rows = [[words(cell) for cell in row] for row in value.rows]
    shown = table([words(head) for head in value.heads], rows, sides)
    if value.caption:
        start = shown.index(">") + 1
        shown = f"{shown[:start]}<caption>{words(value.caption)}</caption>{shown[start:]}"
    return f'<div class="wide">{shown}</div>'


def _figure(picture: Drawn) -> str:
    data = base64.b64encode(picture.svg()).decode()
    image = f'<img alt="{escape(picture.alt)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{words(picture.caption)}</figcaption></figure>"


def _steps(section: Section) -> str:
    cards, so_far = [], section.prompt
    for step in section.steps:
        cards.append(fragment(step, so_far=so_far))
        so_far += step.new_text
    return "".join(cards)
