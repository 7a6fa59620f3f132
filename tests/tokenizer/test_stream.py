"""A stream of ids is the text of the ids, character by character, and never too early."""

import codecs
import random

from hypothesis import given
from hypothesis import strategies as st

from tokenizer.stream import ByteDecoder


def streamed(decoder, ids):
    return [decoder.push(token_id) for token_id in ids] + [decoder.flush()]


def test_ten_thousand_id_lists_stream_as_they_decode(small, stories):
    dice = random.Random(0)
    for number in range(10_000):
        codec = small if number % 2 else stories
        span = codec.vocab_size if number % 4 < 2 else 260  # the low ids are mostly bytes
        ids = [dice.randrange(span) for _ in range(dice.randrange(12))]
        whole = b"".join(map(codec.piece_bytes, ids)).decode("utf-8", errors="replace")
        assert "".join(streamed(codec.stream(), ids)) == codec.decode(ids)
        assert codec.decode(ids) == (whole if codec is small else whole.lstrip(" "))


@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=20)
)
def test_no_replacement_character_is_shown_while_a_character_may_still_be_finished(small, text):
    ids = [small.byte_ids[value] for value in text.encode()]
    assert "\ufffd" not in "".join(streamed(small.stream(), ids))


@given(parts=st.lists(st.binary(max_size=4), max_size=8))
def test_each_push_shows_all_that_is_certain(parts):
    decoder = ByteDecoder(parts.__getitem__)
    shown = ""
    for number in range(len(parts)):
        shown += decoder.push(number)
        certain, _ = codecs.utf_8_decode(b"".join(parts[: number + 1]), "replace", False)
        assert shown == certain


def test_a_copy_goes_its_own_way():
    table = {0: b"\xe2\x82", 1: b"\xac", 2: b"x"}
    decoder = ByteDecoder(table.__getitem__)
    decoder.push(0)
    twin = decoder.copy()
    assert decoder.push(1) == "€"
    assert twin.push(2) == "\ufffdx"


def test_a_copy_that_ends_inside_a_character_shows_a_replacement_character():
    decoder = ByteDecoder({0: b"x\xe2\x82"}.__getitem__)
    assert decoder.push(0) == "x"
    assert (decoder.copy().flush(), decoder.flush(), decoder.flush()) == ("\ufffd", "\ufffd", "")


def test_a_copy_remembers_whether_the_first_space_has_gone():
    table = {0: b" a", 1: b""}
    decoder = ByteDecoder(table.__getitem__, drop_spaces=1)
    assert decoder.push(1) == ""
    assert decoder.copy().push(0) == "a"
    assert decoder.push(0) + decoder.copy().push(0) == "a a"


def test_all_leading_spaces_go_where_the_model_squeezes_them():
    table = {0: b" ", 1: b"  a", 2: b" b"}
    assert "".join(streamed(ByteDecoder(table.__getitem__, drop_spaces=-1), [0, 0, 1, 2])) == "a b"
    assert "".join(streamed(ByteDecoder(table.__getitem__, drop_spaces=1), [0, 0, 1, 2])) == "   a b"
