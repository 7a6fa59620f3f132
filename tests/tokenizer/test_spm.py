"""Training: SentencePiece's own result, equal for equal input, and one line where it cannot be."""

import io

import pytest
import sentencepiece

import tokenizer
from tokenizer import TokenizerError, corpus


def test_a_file_gives_the_pieces_of_the_bare_library(tmp_path, lines):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    bare = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        input=str(path), model_writer=bare, vocab_size=420, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
        character_coverage=1.0, pad_id=0, unk_id=1, bos_id=2, eos_id=3, minloglevel=2,
    )  # fmt: skip
    reference = sentencepiece.SentencePieceProcessor(model_proto=bare.getvalue())
    ours = tokenizer.train(path, vocab_size=420)
    assert [ours.piece(i) for i in range(420)] == [reference.id_to_piece(i) for i in range(420)]


def test_the_nfkc_setting_folds_as_document_001_does(lines):
    codec = tokenizer.train(lines=lines, vocab_size=420, settings="nfkc")
    assert codec.decode(codec.encode("  the ﬁrst\n  fox ")) == "the first\n fox"


def test_equal_input_gives_byte_identical_models(tmp_path, lines, small):
    path = tmp_path / "text.txt"
    path.write_bytes("\n".join(lines).encode())
    assert tokenizer.train(lines=lines, vocab_size=420).model_bytes == small.model_bytes
    assert tokenizer.train(lines=["\n".join(lines)], vocab_size=420).model_bytes == small.model_bytes
    assert tokenizer.train([path], vocab_size=420).model_bytes == small.model_bytes
    assert tokenizer.train(lines=lines[1:], vocab_size=420).model_bytes != small.model_bytes


def test_a_newline_is_a_piece_of_its_own(small):
    (newline,) = small.encode("\n")
    assert small.piece_bytes(newline) == b"\n"
    assert small.encode("fox\nthe") == [*small.encode("fox"), newline, *small.encode("the")]


def test_a_vocabulary_too_large_is_lowered_and_said(lines):
    codec = tokenizer.train(lines=lines, vocab_size=100_000)
    assert codec.notices == (
        f"vocabulary lowered from 100,000 to {codec.vocab_size:,}, the largest this text allows",
    )
    assert tokenizer.train(lines=lines, vocab_size=codec.vocab_size, strict=True).notices == ()
    with pytest.raises(TokenizerError, match=f"too large for this text: it allows {codec.vocab_size:,};"):
        tokenizer.train(lines=lines, vocab_size=codec.vocab_size + 1, strict=True)


def test_a_vocabulary_too_small_names_the_least():
    with pytest.raises(TokenizerError, match=r"at least 263 for this text .* got 262"):
        tokenizer.train(lines=["abc abc"[:3]], vocab_size=262)
    assert tokenizer.train(lines=["abc"], vocab_size=263).vocab_size == 263


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either files or lines, got both or neither"),
        ({"files": "a.txt", "lines": ["a"]}, "either files or lines, got both or neither"),
        ({"lines": "one text"}, r"got one str; write lines=\[text\]"),
        ({"lines": ["a", b"b"]}, "item 1 is bytes; decode it first"),
        ({"lines": ["a", "b\udc80"]}, r"item 1 holds the lone surrogate U\+DC80 at character offset 1"),
        ({"lines": ["a"], "vocab_size": 0}, "vocab_size must be a whole number above 0, got 0"),
        ({"lines": ["a"], "vocab_size": 2.5}, "vocab_size must be a whole number above 0, got 2.5"),
        ({"lines": ["a"], "settings": "nfc"}, "settings must be one of lossless, nfkc, got 'nfc'"),
        (
            {"lines": ["a"], "out": "no such folder/x.model"},
            "folder of no such folder/x.model does not exist",
        ),
    ],
)
def test_wrong_use_is_one_line(arguments, message):
    with pytest.raises(TokenizerError, match=message) as caught:
        tokenizer.train(**arguments)
    assert "\n" not in str(caught.value)


def test_an_existing_output_is_refused_before_any_work(tmp_path):
    out = tmp_path / "x.model"
    out.write_bytes(b"precious")
    with pytest.raises(TokenizerError, match="already exists"):
        tokenizer.train(lines=["a b"], out=out)
    assert out.read_bytes() == b"precious"


def test_a_very_large_text_is_sampled_by_seed_and_that_is_said():
    many = [f"line number {number} of many" for number in range(5_000)]
    kept, notice = corpus.take_sample(many, seed=0, limit=20_000)
    size = sum(map(len, kept))
    assert 5_000 < size <= 20_000
    assert (
        notice == f"the text has 0.1 MB, above 0.02 MB: trained on a sample of {size / 1e6:.1f} MB (seed 0)"
    )
    assert corpus.take_sample(iter(many), seed=0, limit=20_000) == (kept, notice)
    assert corpus.take_sample(many, seed=1, limit=20_000)[0] != kept
    places = [int(line.split()[2]) for line in kept]
    assert places == sorted(places)
    assert 2_000 < sum(places) / len(places) < 3_000


def test_a_text_under_the_limit_is_kept_whole():
    assert corpus.take_sample(["to be\n", "", "or"], seed=0) == (["to be", "or"], None)


def test_one_endless_line_is_sampled_too():
    kept, notice = corpus.take_sample(["word " * 40_000], seed=0, limit=50_000)
    assert 0 < sum(map(len, kept)) <= 50_000
    assert notice
