"""Faces: they render records as text, HTML, plots and pages, and compute nothing."""

from typing import Any

__all__ = ["show_html", "show_text"]


def show_text(record: Any) -> str:
    """Return what `print(record)` shows, in the encoding of standard output."""
    from minilm.faces.text import printed

    return printed(record)


def show_html(record: Any) -> str:
    """Return what a notebook shows of a record, as a fragment of HTML."""
    from minilm.faces.html import fragment

    return fragment(record)
