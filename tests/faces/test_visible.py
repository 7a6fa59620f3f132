"""Visible text; the oracle is what Python itself can print."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from minilm.faces.visible import piece, quoted, visible

anything = st.text(st.characters(codec=None, categories=None))


@given(anything)
def test_a_quoted_token_is_printable_and_reads_back_as_itself(text):
    assert quoted(text).isprintable()
    assert ast.literal_eval(quoted(text)) == text


@given(st.binary(min_size=1))
def test_bytes_that_are_no_text_read_back_as_themselves(raw):
    shown = piece("?", raw)
    assert shown.isprintable()
    if shown.startswith("b"):
        assert ast.literal_eval(shown) == raw


@given(anything)
def test_running_text_keeps_its_lines_and_hides_nothing(text):
    assert all(character.isprintable() or character == "\n" for character in visible(text))


def test_what_looks_blank_or_has_nothing_to_stand_on_is_escaped():
    assert quoted("\u3164\u2800\ufe0f\u0301") == r'"\u3164\u2800\ufe0f' + "\u0301" + '"'
    assert quoted("\u0301") == r'"\u0301"'
    assert quoted("\u200b\xa0\u2066") == r'"\u200b\xa0\u2066"'


def test_special_tokens_are_bare_and_empty_ones_visible():
    assert piece("<EOS>", b"") == "<EOS>"
    assert piece("", b"") == '""'
    assert piece("<EOS>", b"<EOS>") == '"<EOS>"'
