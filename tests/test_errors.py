"""The errors of other libraries become one line that a terminal can show."""

import pytest

from minilm.errors import MinilmError, first_line


def test_a_mistake_of_the_user_is_a_value_error():
    assert issubclass(MinilmError, ValueError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("shapes do not match", "shapes do not match"),
        ("\n\n  shapes\tdo   not match  \nmore", "shapes do not match"),
        ("red \x1b[31m and a bell \a", "red \\x1b[31m and a bell \\x07"),
        ("right to left \u202e", "right to left \\u202e"),
        ("Größe 日本", "Größe 日本"),
        ("", ""),
    ],
)
def test_the_first_line_holds_nothing_that_moves_a_terminal(text, line):
    assert first_line(text) == line
    assert first_line(ValueError(text or "x")) == (line or "x")


def test_an_error_without_a_text_is_named_by_its_class():
    assert first_line(KeyError()) == "KeyError"
    assert first_line(RuntimeError(" \n ")) == "RuntimeError"


def test_all_lines_are_joined_where_the_first_says_little():
    error = ValueError("Arguments received:\n\n  • shape=(2, 3)\n  • units=4")
    assert first_line(error, join=True) == "Arguments received: • shape=(2, 3) • units=4"


def test_a_long_line_ends_at_the_limit():
    assert len(first_line("x" * 5_000)) == 300
    assert first_line("abcdef", 3) == "abc"
    assert first_line("\0\0", 3) == "\\x0", "escapes count as the characters that are shown"
