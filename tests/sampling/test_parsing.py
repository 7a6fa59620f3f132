"""Stages have one spelling: what repr writes, parse reads."""

import math

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.sampling import Bias, Greedy, Temperature, TopK, parse, spell
from minilm.sampling.constraints.stage import Regex
from minilm.sampling.stages.length import Suppress
from minilm.sampling.stages.words import SequenceBias


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


def test_numbers_of_numpy_are_spelled_as_numbers():
    stages = (
        Temperature(np.float64(0.8)), TopK(np.int64(40)), Suppress(np.array([1, 2])),
        Bias({np.int64(3): np.float64(1.0)}), SequenceBias({(np.int64(1), 2): 0.5}),
    )  # fmt: skip
    text = "Temperature(0.8) TopK(40) Suppress([1, 2]) Bias({3: 1.0}) SequenceBias({(1, 2): 0.5})"
    assert spell(stages) == text
    assert parse(text) == stages


def test_commas_and_spaces_separate_stages():
    assert parse(" TopK(3),Greedy() ") == (TopK(3), Greedy())


def test_a_backslash_that_python_does_not_know_stays_without_a_warning():
    """Warnings are errors here; Python 3.12 would print one for each."""
    assert parse(r"Regex('\d+')") == parse(r"Regex('\\d+')") == (Regex(r"\d+"),)


def test_a_ban_is_written_as_minus_infinity():
    (stage,) = parse("Bias({'x': -inf})")
    assert isinstance(stage, Bias)
    assert stage.words == {"x": -math.inf}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("TopK", "written like TopK"),
        ("TopK(", "not closed"),
        ("Nothing(1)", "No stage is called Nothing; there are Greedy, "),
        ("TOPk(40)", "No stage is called TOPk; is it TopK\\?"),
        ("TopK()", "does not fit TopK\\(k\\); write it like TopK\\(40\\)$"),
        ("TopK(1, 2, 3)", "does not fit TopK\\(k\\); write it like TopK\\(40\\)$"),
        ("TopK(k=x)", "holds 'x'; it may hold numbers"),
        ("TopK(__import__('os'))", "holds '__import__'"),
        ("JsonSchema({'a': [true]})", "holds 'true'; it may hold .* True, False"),
        ("TopK(1 + 1)", "holds '1 \\+ 1'"),
        ("Bias({'a': 1}, table=3)", "does not fit Bias\\(words\\); write it like Bias"),
        (
            "Choice(['a'], matcher=3)",
            "does not fit Choice\\(texts, canonical=True, after=0\\); write",
        ),
        ("TopK(-1)", "from 1"),
        ("TopK(2.5)", "whole number"),
        ("TopK('a')", "whole number"),
        ("Temperature('a')", "does not fit Temperature\\(t\\); write it like Temperature\\(0.8\\)$"),
        ("Greedy(1)", "does not fit Greedy\\(\\); write it like Greedy\\(\\)$"),
        ("Suppress({1, 2})", "must be a list of ids"),
        ("Suppress(b'ab')", "must be a list of ids"),
        ("BadWords({1, 2})", "must be a list of words"),
        ("Choice('yes')", "must be a list of texts"),
        ("TopK(3 4)", "The text in the brackets is not understood"),
        ("Bias(3)", "does not fit"),
        ("Bias({'a': 'b'})", "words to finite numbers"),
        ("Bias({1.5: 2.0})", "texts, ids or tuples of ids"),
        ("Bias({'a': 1e39})", "1e\\+30 at most"),
        ("SequenceBias({('a',): 1.0})", "texts, ids or tuples of ids"),
        ("SequenceBias({(): 1.0})", "none empty"),
        ("BadWords([None])", "texts, ids or tuples of ids"),
        ("Suppress(['a'])", "list of ids"),
        ("Suppress(5)", "list of ids"),
        ("SuppressAtBegin([-1])", "SuppressAtBegin must be a list of ids"),
        ("Suppress([1" + "0" * 30 + "])", "list of ids"),
        ("MinLength('a')", "whole number from 0"),
        ("MinNewTokens(2.5)", "whole number from 0"),
        ("ForcedEos('a')", "whole number from 0"),
        ("ForcedBos(-1)", "whole number from 0, got -1"),
        ("LengthDecay('a', 2.0)", "whole number from 0"),
        ("NoRepeatNgram(True)", "whole number from 1"),
        ("Presence(1e39)", "1e\\+30 at most"),
        ("Frequency(1.0, 2.5)", "1 id or more"),
        ("RepetitionPenalty(1.2, 2.5)", "1 id or more"),
        ("RepetitionPenalty(1e39)", "1e-30 to 1e\\+30"),
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
