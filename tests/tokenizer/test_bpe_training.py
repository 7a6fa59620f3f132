"""The trainer by hand learns SentencePiece's merges, in its order, ties included."""

import random
from itertools import islice

import pytest

import tokenizer
from tokenizer.bpe_training import can_be_learned, train_merges


def learnt_by_sentencepiece(lines, vocab_size):
    """The merged pieces of SentencePiece in its order; single characters are not merged."""
    pieces = tokenizer.train(lines=lines, vocab_size=vocab_size).model.pieces
    normal = sorted((-piece.score, piece.text) for piece in pieces if piece.kind == 1)
    return [text.replace("\u2581", " ") for _, text in normal if len(text) > 1]


def assert_same_merges(lines, vocab_size):
    """All of them; where no pair is left, SentencePiece goes on with pairs that stand nowhere."""
    theirs = learnt_by_sentencepiece(lines, vocab_size)
    ours = [merge.piece for merge in train_merges(lines, limit=len(theirs))]
    assert ours == theirs[: len(ours)]
    return len(ours)


def test_the_merges_of_a_real_text_are_sentencepieces(shakespeare):
    assert assert_same_merges([shakespeare], 2_000) == 1_676


@pytest.mark.parametrize("count", [20, 300, 1_000])
def test_the_merges_of_a_short_text_full_of_ties_are_sentencepieces(shakespeare, count):
    assert assert_same_merges(shakespeare.split("\n")[:count], 3_000) > 100


def test_the_merges_of_many_scripts_are_sentencepieces(lines):
    assert assert_same_merges(lines, 3_000) > 100


@pytest.mark.parametrize("seed", range(12))
def test_the_merges_of_random_texts_are_sentencepieces(seed):
    dice = random.Random(seed)
    letters = "aabc  .1\t\u2581\0" if seed % 2 else "aaab "
    lines = ["".join(dice.choice(letters) for _ in range(dice.randrange(300))) + "a" for _ in range(20)]
    assert assert_same_merges(lines, 1_000) > 10


def test_counts_are_those_of_the_text_at_that_moment_overlaps_counted():
    first, second, *_ = train_merges(["aaa aaa ab"])
    assert (first.pair, first.count, first.piece, first.order) == (("a", "a"), 4, "aa", 0)
    assert (second.pair, second.count, second.order) == (("aa", "a"), 2, 1)
    # the word " ab" occurs three times
    first = next(train_merges(["x ab ab ab"]))
    assert (first.pair, first.count) == (("a", "b"), 3)


def test_learning_is_a_stream_that_can_be_stopped_anywhere(lines):
    whole = list(train_merges(lines))
    assert list(islice(train_merges(lines), 5)) == whole[:5] == list(train_merges(lines, limit=5))
    assert [merge.order for merge in whole] == list(range(len(whole)))
    assert len({merge.piece for merge in whole}) == len(whole)


@pytest.mark.parametrize(
    ("piece", "allowed"),
    [
        *[("a" * 16, True), (" a", True), ("12", True), ("e\u0301", True), ("カな漢", True), (".,", True)],
        *[("a" * 17, False), ("a ", False), ("  ", False), ("a1", False), ("яa", False), ("a.", False)],
        *[("\t\t", True), (" \t", True), ("a\t", False)],
    ],
)
def test_a_piece_is_short_within_a_word_and_of_one_script(piece, allowed):
    assert can_be_learned(piece) is allowed
    theirs = learnt_by_sentencepiece([f"x{piece}x {piece}"] * 2, 5_000) if piece.strip() == piece else None
    assert theirs is None or (piece in theirs) is allowed
