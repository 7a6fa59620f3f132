"""The encoder by hand gives SentencePiece's ids on any text, and says how."""

import io
import re
from itertools import pairwise

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

import tokenizer
from tokenizer import Tokenizer, TokenizerError
from tokenizer.bpe import Encoder, Merge, explain

from .conftest import HOSTILE

TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from(" \n\u2581aethox.,"), st.characters(exclude_categories=["Cs"]))
)


@given(text=TEXTS)
def test_the_ids_are_those_of_the_tokenizer(small, text):
    assert Encoder(small).encode(text) == small.encode(text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_the_ids_of_hostile_texts_are_those_of_the_tokenizer(small, text):
    assert Encoder(small).encode(text) == small.encode(text)


def test_the_ids_of_a_whole_corpus_are_those_of_the_tokenizer(plays, shakespeare):
    encoder = Encoder(plays)
    for line in shakespeare.split("\n")[:4_007]:
        assert encoder.encode(line) == plays.encode(line)
    part = shakespeare[:50_000]
    assert encoder.encode(part) == plays.encode(part)


def test_the_ids_of_a_foreign_and_of_a_normalizing_model_are_sentencepieces(stories, lines, shakespeare):
    nfkc = tokenizer.train(lines=lines, vocab_size=420, settings="nfkc")
    for codec in (stories, nfkc):
        encoder = Encoder(codec)
        for text in [*shakespeare.split("\n\n")[:500], *HOSTILE]:
            assert encoder.encode(text) == codec.encode(text)


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_user_defined_pieces_and_unknown_characters_are_as_in_sentencepiece(lines, byte_fallback):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=420, model_type="bpe",
        byte_fallback=byte_fallback, user_defined_symbols=["fox", "fo", "r,"], hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    codec = Tokenizer(model.getvalue())
    reference = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    for text in ("the foxes fo", "river, and", "ПОКА! the ПО", "П", "", "owl П"):
        assert Encoder(codec).encode(text) == codec.encode(text) == reference.encode(text)


def test_a_user_defined_piece_merges_with_nothing(small):
    ordinary = re.search(rb"\x0a\x09\x0a\x02th\x15(....)", small.model_bytes, re.DOTALL)
    score = ordinary[1]
    made = small.model_bytes.replace(ordinary[0], b"\x0a\x0b\x0a\x02th\x15" + score + b"\x18\x04")
    codec = Tokenizer(made)
    assert small.encode("the") != codec.encode("the")
    for text in ("the other", "th", "ththe there ate the"):
        assert Encoder(codec).encode(text) == codec.encode(text)


def test_each_merge_is_the_best_pair_there_is_and_the_leftmost(small):
    ranks = {
        piece.text.replace("\u2581", " "): -piece.score for piece in small.model.pieces if piece.kind == 1
    }
    explanation = explain("the other fox and the other owl ran", small)
    rows = [explanation.start, *explanation.rows()]
    for merge, before, after in zip(explanation.merges, rows, rows[1:], strict=False):
        pairs = list(pairwise(before))
        possible = [ranks["".join(pair)] for pair in pairs if "".join(pair) in ranks]
        assert merge.rank == min(possible)
        place = next(at for at, pair in enumerate(pairs) if ranks.get("".join(pair)) == merge.rank)
        assert after == (*before[:place], merge.piece, *before[place + 2 :])
        assert merge.at == len("".join(before[:place]))
    assert not any("".join(pair) in ranks for pair in pairwise(rows[-1]))


def test_an_explanation_worked_by_hand():
    codec = tokenizer.train(lines=["hug hug pug pug hugs"], vocab_size=268)
    assert [codec.piece(token_id) for token_id in (260, 261)] == ["ug", "hug"]
    explanation = explain("hugs €", codec)
    assert explanation.start == ("h", "u", "g", "s", " ", "€")
    assert explanation.merges[0] == Merge(0, ("u", "g"), 1, "ug", 0.0, 1)
    assert explanation.pieces[-1] == ("€", (230, 134, 176))
    assert explanation.ids == codec.encode("hugs €")


def test_a_unigram_model_is_refused(lines):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=90, model_type="unigram",
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    with pytest.raises(TokenizerError, match="only a BPE model merges pairs"):
        Encoder(Tokenizer(model.getvalue()))
