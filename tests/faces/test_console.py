"""Encodings and colours of a console."""

import io

import pytest

from minilm.faces.console import paint, to_console, wants_colour, write
from minilm.faces.text import render


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "no-such-encoding"])
def test_any_encoding_gets_what_it_can_show(build_step, hostile, encoding):
    text = render(build_step(texts=[*hostile, " ran"], k=9), "full") + " … – × → Δ"
    to_console(text, encoding).encode("ascii" if encoding.startswith("no") else encoding)


def test_typographic_signs_have_plain_ones_and_the_rest_is_escaped():
    assert to_console("a → b … 中", "ascii") == "a -> b ... \\u4e2d"
    assert to_console("a → b", "utf-8") == "a → b"


def test_colour_is_for_terminals_without_no_color():
    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {})


def test_without_its_colours_the_painted_text_is_the_text(build_step):
    text = render(build_step())
    painted = paint(text)
    assert "\x1b[1;36m 1" in painted
    for code in ("\x1b[1;36m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == text


def test_writing_paints_a_terminal_and_nothing_else(build_step, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        write(str(build_step()), stream)
        assert ("\x1b" in stream.getvalue()) is coloured
