"""Stages have one spelling: what repr writes, parse reads."""

import math

import pytest

from minilm.errors import MinilmError
from minilm.sampling import Bias, Greedy, TopK, parse, spell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Greedy()",
        "Temperature(0.8) TopK(40) TopP(0.9)",
        "Bias({' dragon': -5.0, 'a) b': 2.0, \"it's\": 1.0}) MinP(0.05)",
        "Bias({'x': -inf}) RepetitionPenalty(1.05)",
    ],
)
def test_what_is_spelled_is_read_back(text):
    assert spell(parse(text)) == text


def test_commas_and_spaces_separate_stages():
    assert parse(" TopK(3),Greedy() ") == (TopK(3), Greedy())


def test_a_ban_is_written_as_minus_infinity():
    (stage,) = parse("Bias({'x': -inf})")
    assert isinstance(stage, Bias)
    assert stage.words == {"x": -math.inf}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TopK", "written like TopK"),
        ("TopK(", "not closed"),
        ("TopQ(1)", "No stage is called TopQ"),
        ("TopK()", "does not fit"),
        ("TopK(1, 2, 3)", "does not fit"),
        ("TopK(k=x)", "does not fit"),
        ("TopK(__import__('os'))", "does not fit"),
        ("TopK(-1)", "from 1"),
        ("TopK(2.5)", "whole number"),
        ("TopK('a')", "whole number"),
        ("Temperature('a')", "does not fit"),
        ("Bias(3)", "does not fit"),
        ("Bias({'a': 'b'})", "words to finite numbers"),
        ("40", "written like TopK"),
        ("((((TopK(1)", "written like TopK"),
        ("TopK(" * 3000, "not closed"),
        ("TopK(1) " * 5000, "20,000 characters"),
    ],
)
def test_a_stage_that_cannot_be_read_is_named_in_one_line(text, words):
    with pytest.raises(MinilmError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
