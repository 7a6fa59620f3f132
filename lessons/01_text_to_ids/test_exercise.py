"""Lesson 1: what the exercise is worth. The oracles are counts made by hand, and SentencePiece."""

import io
import random

import pytest
import sentencepiece

WORDS = ["low", "lower", "lowest", "slow", "new", "newer", "wide", "wider", "owl"]


@pytest.fixture(scope="module")
def exercise(minilm_exercise):
    """The student's exercise.py in this folder."""
    return minilm_exercise


@pytest.mark.points(1, task="1.1")
def test_characters_and_bytes_are_counted_apart(exercise):
    for text, expected in [("naïve", (5, 6)), ("", (0, 0)), ("你好 🙂", (4, 11))]:
        assert exercise.count(text) == expected, f"count({text!r})"


@pytest.mark.points(2, task="1.2")
def test_neighbours_are_counted_in_order_of_first_appearance(exercise):
    pairs = exercise.count_pairs(list("abcab"))
    assert list(pairs.items()) == [(("a", "b"), 2), (("b", "c"), 1), (("c", "a"), 1)]
    assert exercise.count_pairs(["a", "a", "a"]) == {("a", "a"): 2}, "overlapping pairs count too"
    assert exercise.count_pairs(["alone"]) == {}, "one symbol has no neighbours"


@pytest.mark.points(2, task="1.3")
def test_a_merge_goes_from_left_to_right_and_never_overlaps(exercise):
    assert exercise.merge_pair(list("aaab"), ("a", "a")) == ["aa", "a", "b"]
    assert exercise.merge_pair(["lo", "w", "lo"], ("lo", "w")) == ["low", "lo"], "a pair at the start"
    assert exercise.merge_pair(["x", "lo", "w"], ("lo", "w")) == ["x", "low"], "a pair at the end"
    given = list("abab")
    assert exercise.merge_pair(given, ("a", "b")) == ["ab", "ab"]
    assert given == list("abab"), "the list that was given must stay as it was"


@pytest.mark.points(2, task="1.4")
def test_the_most_frequent_pair_is_merged_first(exercise):
    assert exercise.learn("low lower lowest", 2) == ["lo", "low"]
    assert exercise.learn("abab cdcd", 2) == ["ab", "cd"], "among equals the one that appears first"
    assert exercise.learn("abcd", 5) == [], "no pair occurs twice, so nothing is learned"
    assert exercise.learn("", 5) == [], "an empty text teaches nothing"


@pytest.mark.points(2, task="1.5")
def test_encoding_equals_sentencepiece(exercise):
    model = io.BytesIO()
    options = {"model_type": "bpe", "normalization_rule_name": "identity", "hard_vocab_limit": False}
    lines = [" ".join(random.Random(line).choices(WORDS, k=6)) for line in range(40)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=40, minloglevel=2, **options
    )
    oracle = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    learned = [oracle.id_to_piece(i) for i in range(3, len(oracle)) if len(oracle.id_to_piece(i)) > 1]
    for number in range(200):
        text = "".join(random.Random(number).choices("lowernsid", k=12))
        expected = oracle.encode(text, out_type=str)
        assert exercise.encode("▁" + text, learned) == expected, f"of {text!r} with {learned}"


@pytest.mark.points(1, task="1.6")
def test_compression_is_bytes_per_symbol(exercise):
    assert exercise.compression("lowly", ["low", "ly"]) == 2.5
    assert exercise.compression("你好", ["你好"]) == 6, "bytes, not characters"
