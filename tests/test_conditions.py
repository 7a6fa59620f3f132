"""A condition is read by a grammar of our own: what it cannot say is refused, and nothing is run."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.conditions import parse_condition
from minilm.errors import MinilmError

NAMES = ["a", "b", "raw.entropy", "text", "missing"]
VALUES = {"a": 2, "b": 5.0, "raw.entropy": 3.5, "text": "one\ntwo", "missing": None}


def holds(text):
    return parse_condition(text, NAMES, ["twice"])(
        lambda name, arguments: arguments[0] * 2 if name == "twice" else VALUES[name]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", True),
        ("a>=2", True),
        ("a != 2", False),
        ("raw.entropy > 3 and b > 4.5", True),
        ("a > 3 or b == 5", True),
        ("a > 3 or b == 5 and a > 3", False),
        ("(a > 3 or b == 5) and not a > 3", True),
        ("not not a == 2", True),
        ("text ~ '\\n'", True),
        ('text ~ "three"', False),
        (r"text ~ '\d'", False),
        ("b < 1e1", True),
        ("a > -1", True),
        ("missing > 0", False),
        ("missing <= 0", False),
        ("not missing > 0", True),
        ("twice(3) == 6", True),
        ("twice(2)", True),
    ],
)
def test_a_condition_means_what_it_says(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column 1: a name.* got the end"),
        ("a >", "got the end"),
        ("a > 1 b", "column 7: an operator.* got 'b'"),
        ("c > 1", "column 1: one of a, b.*got 'c > 1'"),
        ("a.__class__ == 1", "one of a, b"),
        ("(a > 1", "'\\)' expected"),
        ("a > 1 )", "an operator"),
        ("a = 2", "== expected, got ' = 2'"),
        ("twice 3", "'\\(' expected"),
        ("twice(a)", "a number or a quoted text"),
        ("__import__('os')", "one of a, b"),
        ("a > 'x'", "compares 2 with 'x'"),
        ("a > 1; b", "a name, a number"),
        ("and a", "a name, a number"),
        ("(" * 60 + "a > 1", "50 brackets"),
        ("not " * 400 + "a > 1", "50 brackets"),
        ("a > 1 and " * 300, "2000 characters"),
    ],
)
def test_what_is_not_understood_is_pointed_at(text, words):
    with pytest.raises(MinilmError, match=words) as caught:
        holds(text)
    assert "\n" not in str(caught.value)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="ab.<>=~()'\"\\ andortx01,", max_size=40))
def test_any_text_is_a_condition_or_a_named_error(text):
    with contextlib.suppress(MinilmError):
        assert holds(text) in (True, False)
