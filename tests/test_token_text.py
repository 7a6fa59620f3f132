"""A typed word means the same ids in every command, and a token is written in one way."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minilm import builtin
from minilm.cli import command as minilm
from minilm.comparison.training import follow_prompt
from minilm.errors import MinilmError
from minilm.records import TrainStep
from minilm.token_text import Meant, TokenTexts, id_of, ids_of
from minilm.training.timeline.breakpoints import training_breakpoint_holds, training_breakpoint_of
from minilm.training.timeline.token_losses import surprised

BUILTIN = builtin.codec()
WORDS = {  # what a user types -> the ids that it means on the built-in tokenizer
    "fox": BUILTIN.encode(" fox"),
    " fox": BUILTIN.encode(" fox"),
    "'fox'": BUILTIN.encode("fox"),
    "' fox'": BUILTIN.encode(" fox"),
    '"\\u0066ox"': BUILTIN.encode("fox"),
    "zebra": BUILTIN.encode(" zebra")[1:],  # the space is a token of its own here
    "<EOS>": [BUILTIN.special_ids["eos"]],
    "<BOS>": [BUILTIN.special_ids["bos"]],
    "#771": [771],
}


class Spaced:
    """A tokenizer that puts a space before every text; id 0 both begins and ends a text, 1 has a name."""

    special_ids = {"bos": 0, "eos": 0}  # noqa: RUF012
    pieces = ("", "<|im_end|>", " fox", " ", "  f", "ox", "\xe2")
    vocab_size = len(pieces)

    def encode(self, text, special=False):
        return {" fox": [2], "  fox": [4, 5]}.get(f" {text}", [])

    def piece(self, token_id):
        return self.pieces[token_id]

    def piece_bytes(self, token_id):
        return self.pieces[token_id].encode("latin-1") if token_id > 1 else b""


def test_the_built_in_tokenizer_is_the_one_that_gave_three_answers():
    assert (ids_of("fox", BUILTIN).id, ids_of("'fox'", BUILTIN).id) == (356, 771)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_means_the_same_id_in_every_command(word):
    first, run = WORDS[word][0], CliRunner()
    generated = run.invoke(minilm, ["generate", "--watch", word, "--max-tokens", "1", "--json"])
    assert json.loads(generated.stdout.splitlines()[0])["start"]["watch"] == [first]

    # A line of the debugger is split at its spaces, so there " fox" needs its quotes.
    if word != " fox":
        told = run.invoke(minilm, ["debug", "generate"], input=f"watch {word}\n")
        assert told.output.partition("watched: ")[2].split("\n")[0].endswith(f" {first}")

    looked = run.invoke(minilm, ["inside", "neighbours", "--token", word])
    same = run.invoke(minilm, ["inside", "neighbours", "--token", f"#{first}"])
    assert looked.stdout == same.stdout

    (moment,) = follow_prompt([(0, builtin.model())], BUILTIN, "Once", word=word, max_tokens=1)
    (other,) = follow_prompt([(0, builtin.model())], BUILTIN, "Once", word=f"#{first}", max_tokens=1)
    assert (moment.watched, moment.p, moment.rank) == (other.watched, other.p, other.rank)

    condition = training_breakpoint_of(f"seen({word!r})", BUILTIN)
    batches = [TrainStep(1, np.array([[9, *ids, 9]]), 1.0, 5, 0.1) for ids in (WORDS[word], [8, 8])]
    assert [training_breakpoint_holds(condition, [step], BUILTIN) for step in batches] == [True, False]


@pytest.mark.parametrize(("word", "token_id"), [("<EOS>", 3), ("#771", 771), ("771", 771)])
def test_the_debugger_forces_the_id_that_a_word_names(word, token_id):
    assert BUILTIN.special_ids["eos"] == 3
    told = CliRunner().invoke(
        minilm, ["debug", "generate"], input=f"force {word}\nprint decision.chosen.id\n"
    )
    assert f"\n{token_id}\n" in told.output


def test_a_word_of_several_tokens_is_told_in_one_line_by_every_command():
    count, text = len(WORDS["'fox'"]), TokenTexts(BUILTIN)(771)[0]
    note = f"'fox' is {count} tokens; the first is meant: id 771 {json.dumps(text)}"
    assert ids_of("'fox'", BUILTIN).note == note
    assert ids_of("fox", BUILTIN).note is None
    run = CliRunner()
    for command in (["generate", "--max-tokens", "1", "--watch"], ["inside", "neighbours", "--token"]):
        assert run.invoke(minilm, [*command, "'fox'"]).stderr.splitlines() == [note]
    assert note in run.invoke(minilm, ["debug", "generate"], input="watch 'fox'\n").output.splitlines()
    training = ["debug", "prompt", "--steps", "1", "--hidden", "4", "--embedding", "4", "--backend", "numpy"]
    assert " tokens; the first is meant: id " in run.invoke(minilm, [*training, "--word", "zebra"]).stderr


def test_a_bare_number_is_an_id_only_where_numbers_are_ids(codec):
    assert ids_of("5", codec, numbers=True) == Meant((5,))
    assert ids_of("5", codec).ids == (4 + ord("5"),)
    assert ids_of("#5", codec) == ids_of("#5", codec, numbers=True) == Meant((5,))


def test_a_space_that_is_a_token_of_its_own_is_not_the_word(codec):
    assert ids_of("fox", codec).ids == tuple(codec.encode("fox"))
    assert ids_of(" fox", codec).ids == tuple(codec.encode(" fox"))
    assert ids_of("' '", codec).ids == (4 + ord(" "),)


def test_a_tokenizer_that_adds_the_space_itself_is_given_the_bare_word():
    assert ids_of("fox", Spaced()).ids == (2,)


def test_a_special_token_is_found_by_its_role_or_its_name():
    assert [id_of(word, Spaced()) for word in ("<BOS>", "<EOS>", "<|im_end|>")] == [0, 0, 1]
    assert [id_of(word, Spaced()) for word in ("<PAD>", "<>", "fox", "", "#", "#x", "#-1")] == [None] * 7


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "The word '' has no token"),
        ("''", "has no token"),
        ("'fox", "A quoted text is written like"),
        ("'a' + 'b'", "A quoted text is written like"),
        ("'a', 'b'", "A quoted text is written like"),
        ("'" + "(" * 9999, "A quoted text is written like"),
        ("#" + "9" * 5000, "A whole number is expected here, got '999"),
    ],
)
def test_a_word_that_means_nothing_is_refused(word, said):
    with pytest.raises(MinilmError, match=said.replace("(", r"\(")):
        ids_of(word, BUILTIN)


@pytest.mark.parametrize(
    "word", ["\x1b[31m", "a\nb", "é🦊", "x" * 5000, "<", "<0xE2>", "▁fox", "#", "#x", "\n"]
)
def test_a_hostile_word_means_ids_and_its_note_is_one_short_line(word):
    meant = ids_of(word, BUILTIN)
    assert meant.ids
    assert meant.note is None or (meant.note.isprintable() and len(meant.note) < 120)


def test_a_token_is_written_alike_in_generation_and_in_training():
    step = TrainStep(
        1, np.array([[2, 6]]), 1.0, 2, 0.1, losses=np.array([[1.0, 2.0]]), targets=np.array([[6, 0]])
    )
    codec = Spaced()
    codec.decode = lambda ids: ""
    assert {t.id: t.text for t in surprised(step, codec)} == {6: "<0xE2>", 0: "<EOS>"}
    assert TokenTexts(codec)(6)[0] == "<0xE2>"
