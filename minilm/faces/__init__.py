"""Faces show records as text, HTML, pictures and pages. They compute nothing."""

__all__ = ["show_html", "show_text"]


def show_text(record: object) -> str:
    """Return what `print(record)` shows, in the encoding of standard output."""
    from minilm.faces.text import render_for_stdout

    return render_for_stdout(record)


def show_html(record: object) -> str:
    """Return what a notebook shows of a record, as HTML."""
    from minilm.faces.html import fragment

    return fragment(record)
