"""transformers agrees: our model converted gives equal ids; its tokenizers are codecs with exact bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizer
from minilm.protocols import TextCodec
from tokenizer import TokenizerError

from .conftest import HOSTILE

transformers = pytest.importorskip("transformers")

from tokenizer.huggingface import from_transformers, to_transformers  # noqa: E402  after the skip

TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from(" \n\u2581aethox<s>/"), st.characters(exclude_categories=["Cs"]))
)


@pytest.fixture(scope="module")
def converted(small):
    return to_transformers(small)


@pytest.fixture(scope="module")
def template(small):
    raw = to_transformers(small)
    raw.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}bot:"
    return from_transformers(raw)


@settings(deadline=None)
@given(text=TEXTS)
def test_the_converted_tokenizer_gives_equal_ids(small, converted, text):
    assert converted(text, add_special_tokens=False)["input_ids"] == small.encode(text)
    assert converted(text)["input_ids"] == small.encode(text, special=True)
    assert converted.decode(small.encode(text, special=True), skip_special_tokens=True) == text


def test_it_gives_equal_ids_on_a_real_text_after_being_saved_and_opened(tmp_path, plays, shakespeare):
    to_transformers(plays).save_pretrained(tmp_path)
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert len(opened) == plays.vocab_size
    roles = {name: getattr(opened, f"{name}_token_id") for name in ("pad", "unk", "bos", "eos")}
    assert roles == plays.special_ids
    texts = [*shakespeare.split("\n"), *HOSTILE]
    assert opened(texts, add_special_tokens=False)["input_ids"] == [plays.encode(text) for text in texts]
    assert opened(shakespeare, add_special_tokens=False)["input_ids"] == plays.encode(shakespeare)


def test_a_converted_tokenizer_taken_back_has_the_bytes_the_roles_and_the_beginning_of_ours(
    small, converted, lines
):
    codec = from_transformers(converted)
    assert codec.special_ids == small.special_ids
    for token_id in range(small.vocab_size):
        assert codec.piece_bytes(token_id) == small.piece_bytes(token_id)
    assert codec.encode("the fox", special=True) == small.encode("the fox", special=True)
    assert codec.encode("", special=True) == [small.special_ids["bos"]]
    for text in (*lines, "a </s> b <s><unk>"):
        assert converted(text, add_special_tokens=False)["input_ids"] == small.encode(text)


def test_special_tokens_in_a_text_stay_text(small, converted, gpt2, llama):
    text = "a </s> b <s><unk> <|endoftext|>"
    assert converted(text, add_special_tokens=False)["input_ids"] == small.encode(text)
    for raw in (converted, gpt2, llama):
        codec = from_transformers(raw)
        assert not set(codec.encode(text)) & set(codec.special_ids.values())
        assert codec.decode(codec.encode(text)) == text


def test_a_model_that_normalizes_cannot_be_converted_exactly_and_is_refused(stories, lines):
    nfkc = tokenizer.train(lines=lines, vocab_size=420, settings="nfkc")
    for codec in (nfkc, stories):
        with pytest.raises(TokenizerError, match="only a lossless BPE model converts exactly"):
            to_transformers(codec)


@pytest.mark.parametrize("name", ["gpt2", "llama", "converted"])
def test_a_codec_decodes_as_transformers_and_streams_as_it_decodes(request, shakespeare, name):
    raw = request.getfixturevalue(name)
    codec = from_transformers(raw)
    assert isinstance(codec, TextCodec)
    for text in [*shakespeare.split("\n\n")[:300], *HOSTILE]:
        ids = codec.encode(text, special=True)
        plain = raw.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        decoder = codec.stream()
        assert "".join([decoder.push(number) for number in ids]) + decoder.flush() == plain
        assert codec.decode(ids) == plain
        if name != "llama":
            assert plain == text
            assert b"".join(map(codec.piece_bytes, ids)) == text.encode()


def test_texts_begin_as_the_model_s_own_texts_begin(gpt2, llama, converted):
    for raw, begin in ((gpt2, []), (llama, [1]), (converted, [2])):
        codec = from_transformers(raw)
        assert codec.encode("Once", special=True) == begin + codec.encode("Once")
    assert from_transformers(gpt2).encode("", special=True) == [50256]
    assert from_transformers(gpt2).encode("") == []
    assert from_transformers(llama).special_ids == {"unk": 0, "bos": 1, "eos": 2}
    assert from_transformers(gpt2).special_ids == {"unk": 50256, "bos": 50256, "eos": 50256}


def test_the_bytes_of_each_gpt2_piece_are_those_transformers_decodes(gpt2):
    codec = from_transformers(gpt2)
    assert {codec.piece_bytes(token_id) for token_id in range(256)} == {
        bytes([value]) for value in range(256)
    }
    for token_id in range(0, codec.vocab_size - 1, 7):
        assert codec.piece_bytes(token_id).decode(errors="replace") == gpt2.decode([token_id])
    assert (codec.piece(50256), codec.piece_bytes(50256)) == ("<|endoftext|>", b"")


def test_the_leading_space_of_a_llama_text_is_dropped_only_at_its_start(llama):
    codec = from_transformers(llama)
    once, upon = codec.encode("Once upon")
    assert codec.piece_bytes(once) == b" Once"
    assert codec.decode([1, once, upon, once]) == "Once upon Once"
    assert codec.piece_bytes(13) == b"\n"


@pytest.mark.parametrize("name", ["gpt2", "llama", "converted"])
def test_merge_gives_the_ids_of_the_whole_text(request, name):
    codec = from_transformers(request.getfixturevalue(name))
    for before, after in (
        ("Once up", "on a time"),
        ("the fo", "x"),
        ("", "the"),
        (" the", " fox"),
        ("the", ""),
    ):
        ids = codec.encode(before, special=True) if before else list(codec._begin)
        merged, kept = codec.merge(ids, after)
        whole = codec.encode(before + after, special=True)
        assert merged == whole
        assert merged[:kept] == ids[:kept]


def test_a_chat_follows_the_template_and_is_none_without_one(small, template, gpt2):
    ids = template.chat([{"role": "you", "content": "the fox"}])
    assert template.decode(ids) == "you: the fox\nbot:"
    assert from_transformers(gpt2).chat([{"role": "you", "content": "the fox"}]) is None
    with pytest.raises(TokenizerError, match="the chat template refuses these messages"):
        template.chat([{"role": object(), "content": 1, "x": {}}, None])


def test_what_cannot_be_encoded_is_refused_as_by_our_own_tokenizer(converted):
    codec = from_transformers(converted)
    with pytest.raises(TokenizerError, match="offset 1"):
        codec.encode("a\ud800")
    with pytest.raises(TokenizerError, match="ids go from 0 to 419, got 420"):
        codec.decode([420])
    with pytest.raises(TokenizerError, match="has no fast backend"):
        from_transformers(object())
