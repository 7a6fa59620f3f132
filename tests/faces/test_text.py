"""The printed step is the product: golden text, at most 100 columns, safe whatever a token holds."""

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from minilm.errors import MinilmError
from minilm.faces.layout import clip, wrap_line
from minilm.faces.text import footer, header, render

BRIEF = """\
step 3  read " there" id 281  emb (64,) norm 7.32 cos +0.12 [0.13 -0.13 … -0.50]
 1 " was"    logit 5.21  p 0.497 → 0.649   chosen: u 0.370 in [0.000,0.649)
 2 " lived"  logit 4.72  p 0.305 → 0.351
 3 " is"     logit 3.29  p 0.073 → 0       cut by TopK(2)
 4 " had"    logit 2.90  p 0.049 → 0       cut by TopK(2)
 5 " came"   logit 2.51  p 0.033 → 0       cut by TopK(2)
 entropy 1.35 → 0.65 nats   k 8 → 2   rank 1   drawn, and the most likely one"""

FULL = """\
step 1  read " there" id 281  emb (64,) norm 7.3153 cos – [0.13 -0.13 … -0.50]
 at position 4   bytes 20 74 68 65 72 65
 rank  id token     logit  log p p model tempered final
    1 281 " was"    5.210 -0.698 0.497   0.569    0.649
    2 282 " lived"  4.720 -1.188 0.305   0.309    0.351
    3 283 " is"     3.290 -2.618 0.073   0.052    0       cut by TopK(2): rank 3 of 2, watched
    4 284 " had"    2.900 -3.008 0.049   0.032    0       cut by TopK(2): rank 4 of 2
    5 285 " came"   2.510 -3.398 0.033   0.019    0       cut by TopK(2): rank 5 of 2
    6 286 " stood"  2.000 -3.908 0.020   0.010    0       chosen: forced, though cut by TopK(2):
                                                          rank 6 of 2
 stage                   survivors  mass kept  entropy  log p of chosen  to its cut
 (as the model gave it)                         1.3505
 Temperature(0.8)               10          1   1.1208          -0.6673
 TopK(2)                         2      0.878   0.6484              out        1.79
 watched " is" 283, log p: Temperature(0.8) -0.3448   TopK(2) out
 before  entropy 1.3505 nats   k 8 holds 0.990
 after   entropy 0.6484 nats   k 2 holds 1   2 survivors
 reason  forced by hand
 text    " stood" at byte 0 of the generated text
 the end: a stop string appeared"""

characters = st.characters(codec=None, categories=None)
texts = st.lists(
    st.one_of(st.text(characters, max_size=60), st.binary(min_size=1, max_size=4)), min_size=10, max_size=10
)
widths = settings(max_examples=150, deadline=None)


def test_a_printed_step_is_this_text(build_step):
    assert str(build_step()) == BRIEF


def test_the_full_text_shows_all_candidates_the_ledger_and_the_place(build_step):
    step = build_step(index=0, forced=5, watched=(2,), finish="stop")
    kept = [
        line
        for line in render(step, "full").split("\n")
        if not line.startswith(("    7", "    8", "    9", "   10"))
    ]
    assert "\n".join(kept) == FULL


def test_the_text_alone_is_only_the_new_text(build_step):
    assert render(build_step(new_text=' "hi"\n'), "text") == ' "hi"\n'


def test_the_chosen_and_the_watched_tokens_are_shown_from_any_rank(build_step):
    shown = render(build_step(k=10, u=0.9999, watched=(8,)))
    assert [line.split()[0] for line in shown.split("\n")[1:-1]] == ["1", "2", "3", "4", "5", "9", "10"]
    assert "watched" in shown.split("\n")[6]


def test_a_chosen_token_that_is_no_candidate_has_a_line_of_its_own(build_step):
    decision = build_step(forced=5).decision
    few = replace(decision, candidates=decision.candidates[:3])
    assert [line.split()[:2] for line in render(few).split("\n")[:-1]][-1] == ["6", '"']
    assert "6 286" in render(few, "full")


def test_a_reason_that_does_not_fit_its_line_goes_on_below(build_step):
    reason = "taken because " + "it is the best of all " * 9
    shown = render(replace(build_step().decision, reason=reason.strip()))
    assert " ".join(shown.split()).endswith(reason.strip())


def test_a_clipped_text_cuts_no_escape_in_half():
    shown = r"ab\x1b\u202ec"
    assert [clip(shown, width) for width in range(1, 8)] == ["…", "a…", *["ab…"] * 4, r"ab\x1b…"]


def test_a_last_line_shows_the_end_of_the_text_so_far(build_step):
    line = render(build_step(), so_far="word " * 40 + "last").split("\n")[-1]
    assert line.startswith(" text  … word")
    assert line.endswith("word last")
    assert len(line) <= 100


@pytest.mark.parametrize("finish", ["eos", "stop", "length", "context"])
def test_every_finish_reason_is_said_in_words(build_step, finish):
    assert " the end: " in render(build_step(finish=finish))
    assert finish == "stop" or f": {finish}" not in render(build_step(finish=finish))


def test_decision_candidate_and_train_step_have_a_text_face(build_step, build_train_step):
    step = build_step()
    assert str(step.decision) == "\n".join(BRIEF.split("\n")[1:])
    assert str(step.decision.candidates[2]) == (
        '" is" id 283   rank 3   logit 3.29   p 0.073 → 0   cut by TopK(2): rank 3 of 2'
    )
    assert str(build_train_step()) == (
        "train step 120  loss 3.4121 nats  validation 3.5123  245,760 tokens  rate 0.001  clipped × 0.431"
    )
    full = render(build_train_step(watched=True), "full")
    assert " batch of 2 × 4 ids\n loss per token from 0.1000 to 6.0000 nats\n" in full
    assert "embedding       0.5   0.001      12       8.33e-05" in full


def test_what_has_no_face_or_no_such_show_is_refused(build_step):
    with pytest.raises(MinilmError, match="got a str"):
        render("text")
    with pytest.raises(MinilmError, match="got 'long'"):
        render(build_step(), "long")


@widths
@given(
    texts=texts, ranks=st.integers(1, 10), chosen=st.integers(0, 9), numbers=st.randoms(use_true_random=False)
)
def test_no_line_is_wider_than_100_cells(build_step, texts, ranks, chosen, numbers):
    logits = [numbers.uniform(-300, 300) for _ in texts]
    step = build_step(
        texts=texts, logits=logits, k=ranks, forced=chosen, watched=(0, 7), index=numbers.randrange(10**6),
        text=texts[0] if isinstance(texts[0], str) else "?", id=123456, new_text=str(texts[1]), offset=10**7,
    )  # fmt: skip
    for show in ("brief", "full"):
        for line in render(step, show, so_far=str(texts)).split("\n"):
            assert cell_len(line) <= 100, line


@widths
@given(texts=texts)
def test_no_token_reaches_the_terminal_raw(build_step, texts):
    step = build_step(texts=texts, text=str(texts[2]), new_text=str(texts[3]), k=10)
    shown = render(step, so_far=str(texts[4])) + render(step, "full") + render(step, "text")
    around = header([1], [str(texts[5])], [f"Bias({texts[6]!r})"], 0) + footer("stop", [1], str(texts[7]))
    assert all(character.isprintable() or character in "\n\t" for character in shown + around)


def test_hostile_tokens_are_written_out(build_step, hostile):
    shown = render(build_step(texts=[*hostile, b"\xe2\x82"], k=9, u=0.01), "full")
    for seen in (
        r'"\x1b[31mred"',
        r'"\u202eabc"',
        r'"say \"hi\"\\"',
        r'"line\nbreak"',
        r'b"\xe2\x82"',
        '"中文"',
    ):
        assert seen in shown


def test_equal_records_give_equal_text(build_step, build_train_step):
    assert render(build_step(), "full") == render(build_step(), "full")
    assert render(build_train_step(watched=True), "full") == render(build_train_step(watched=True), "full")


def test_the_header_names_prompt_stages_and_seed():
    assert header(
        [2, 281], ["<s>", " Once"], ["Temperature(0.8)", "TopK(2)"], 7, raws=[b"", b" Once"], model="lstm"
    ) == (
        'model   lstm\nprompt  2 tokens: <s> 2 · " Once" 281\nstages  Temperature(0.8) → TopK(2)\nseed    7'
    )
    assert "stages  none: drawn from the model's own probabilities" in header([], [], [], 0)


def test_the_footer_says_why_it_ended_and_what_came_out():
    assert footer("length", [5, 6], "Once\nupon") == (
        "ended   the limit of new tokens was reached, after 2 tokens\nids     5 6\ntext    Once\n        upon"
    )


@given(text=st.text(), width=st.integers(14, 40))
def test_wrapping_loses_nothing_but_the_spaces_at_the_breaks(text, width):
    lines = wrap_line(text, width, "  ")
    assert "".join("".join(lines).split(" ")) == "".join(text.split(" "))


def test_a_repr_is_one_line_and_a_short_one(build_step, build_train_step, hostile):
    step = build_step(texts=[*hostile, " ran"], k=9)
    for record in (step.decision, step.decision.chosen, step.embedding, build_train_step(watched=True)):
        assert len(repr(record).split("\n")) == 1
        assert len(repr(record)) < 300, repr(record)


def test_print_never_fails_in_a_narrow_encoding(build_step, hostile, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr("sys.stdout", stream)
    print(build_step(texts=[*hostile, " ran"], k=9))
    stream.flush()
    assert b"->" in stream.buffer.getvalue()


def test_a_fragile_step_is_marked_in_the_full_text_alone(build_step):
    step = build_step()
    fragile = replace(step, decision=replace(step.decision, fragile=True))
    assert " fragile changes of 1e-5" in render(fragile, "full")
    assert "fragile" not in render(step, "full") + render(fragile, "brief")
