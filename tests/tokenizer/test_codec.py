"""Text to ids and back, exactly; SentencePiece is the oracle where it can be."""

import io
import pickle

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

import tokenizer
from minilm.protocols import TextCodec
from tokenizer import Tokenizer, TokenizerError

from .conftest import HOSTILE

TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from(" \n\u2581\0aethx."), st.characters(exclude_categories=["Cs"]))
)


def oracle(codec: Tokenizer) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=codec.model_bytes)


def test_it_is_what_minilm_asks_of_a_codec(small):
    assert isinstance(small, TextCodec)
    assert small.special_ids == {"pad": 0, "unk": 1, "bos": 2, "eos": 3}
    assert small.vocab_size == 420
    assert small.chat([{"role": "user", "content": "hello"}]) is None


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_come_back_exactly(small, text):
    ids = small.encode(text)
    assert small.decode(ids) == text
    assert b"".join(map(small.piece_bytes, ids)) == text.encode()
    assert not set(ids) & set(small.special_ids.values())


def test_every_code_point_comes_back_exactly(small):
    every = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    assert len(every) == 1_112_064
    for at in range(0, len(every), 8192):
        text = "".join(map(chr, every[at : at + 8192]))
        assert small.decode(small.encode(text)) == text


@given(text=TEXTS)
def test_any_text_comes_back_and_special_only_adds_bos(small, text):
    ids = small.encode(text)
    assert small.decode(ids) == text
    assert small.encode(text, special=True) == [2, *ids]
    assert small.decode([2, *ids, 3]) == text


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")))
def test_the_ids_are_those_of_sentencepiece(small, text):
    assert small.encode(text) == oracle(small).encode(text)


@given(before=TEXTS, after=TEXTS)
def test_merge_gives_the_ids_of_the_whole_text(small, before, after):
    ids = small.encode(before, special=True)
    merged, kept = small.merge(ids, after)
    assert merged == small.encode(before + after, special=True)
    assert merged[:kept] == ids[:kept]
    assert kept == len(ids) or kept == len(merged) or merged[kept] != ids[kept]


def test_merge_keeps_a_context_that_ends_inside_a_character(small):
    ids = [2, small.byte_ids[0xE2]]
    assert small.merge(ids, "fox") == (ids + small.encode("fox"), 2)


@pytest.mark.parametrize(("text", "offset"), [("ab\ud800", 2), ("\udfff", 0), ("\u2581\n\ud834x", 2)])
def test_a_lone_surrogate_is_refused_with_its_offset(small, text, offset):
    with pytest.raises(TokenizerError, match=f"U\\+D[8F][0-9A-F]{{2}} at character offset {offset};"):
        small.encode(text)


def test_what_is_no_text_and_ids_out_of_range_are_refused(small):
    with pytest.raises(TokenizerError, match="encode takes a text, got bytes"):
        small.encode(b"fox")
    for token_id in (-1, 420):
        with pytest.raises(TokenizerError, match=f"ids go from 0 to 419, got {token_id}"):
            small.piece_bytes(token_id)
        with pytest.raises(TokenizerError, match="ids go from 0 to 419"):
            small.decode([token_id])


def test_a_foreign_model_decodes_as_sentencepiece_does(stories, shakespeare):
    reference = oracle(stories)
    assert stories.special_ids == {"unk": 0, "bos": 1, "eos": 2}
    for text in [*shakespeare.split("\n")[:2000], *HOSTILE[:35]]:
        ids = stories.encode(text, special=True)
        assert ids == [1, *reference.encode(text)]
        assert stories.decode(ids) == reference.decode(ids)
    assert "opened unchecked" in stories.notices[0]


def test_a_piece_that_holds_a_newline_is_not_cut_in_two():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a.\n\nb", "c.\n\nd"] * 4), model_writer=model, vocab_size=300,
        model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    codec = Tokenizer(model.getvalue())
    text = "a.\n\nb.\n\n"
    assert "\n\n" in "".join(codec.piece(token_id) for token_id in codec.encode(text) if token_id > 258)
    assert codec.encode(text) == oracle(codec).encode(text)


def test_equal_models_are_equal_and_travel_between_processes(small):
    twin = pickle.loads(pickle.dumps(small))
    assert twin == small
    assert hash(twin) == hash(small)
    assert twin.encode("the fox") == small.encode("the fox")
    assert small != tokenizer.train(lines=["something else"], vocab_size=275)
    assert repr(small).startswith("Tokenizer(420 pieces, lossless, ")


def test_tokenizers_of_one_size_that_learned_from_other_texts_are_not_equal(small, lines):
    other = tokenizer.train(lines=[line.replace("fox", "cat") for line in lines], vocab_size=420)
    assert other.vocab_size == small.vocab_size
    assert other != small
    assert small != "a tokenizer"
    told = Tokenizer(small.model_bytes, notices=["opened unchecked"])
    assert told == small
    assert pickle.loads(pickle.dumps(told)).notices == ("opened unchecked",)
