"""HTML in notebooks and reports: one page, no script, every token only text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import MinilmError
from minilm.faces.html import Section, Table, fragment, report
from minilm.faces.html.marks import token as shown_token
from minilm.faces.plots import plot_ranks, plot_step

VOID = {"meta", "img", "rect"}
ALLOWED = """html head meta title style body header main footer nav ol li a section h1 h2 h3 p div span
strong code table caption thead tbody tr th td details summary mark svg rect figure img figcaption pre"""
EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><b onclick=x>',
    "&amp;",
    "</style>",
    "</p>",
]


class Reader(HTMLParser):
    """What a browser would find: tags with their attributes, text, rows of tables, whether all is closed."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open, self.rows = [], "", [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def _check(page):
    reader = Reader(page)
    assert reader.open == []
    for tag, attributes in reader.tags:
        assert tag in ALLOWED.split()
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert "url(" not in attributes.get("style", "")
    return reader


def _page(run, build_step):
    evil = build_step(texts=[*EVIL, "\u202e", "\x1b", "\ud800", b"\xe2"], k=9, new_text=EVIL[0], text=EVIL[4])
    sections = [
        Section("Pictures & <b>", "One.\n\nTwo <i>.", pictures=[plot_step(run[0]), plot_ranks(run)]),
        Section("Steps", steps=run[:3], prompt="Once there"),
        Section("Texts", texts={"numpy": "a\n<b>", "torch": "\x1b[0m"}),
        Section("Parity", tables=[Table(["pair", "difference"], [["<x>", "2e-7"]], "Small", "lr")]),
        Section("Evil", steps=[evil]),
    ]
    return report("Title <script>", sections, lead="Lead </p>", closing="End <script>")


def test_a_report_is_one_well_formed_page_without_script_or_link(run, build_step):
    page = _page(run, build_step)
    reader = _check(page)
    assert not re.search(r"https?:|@import|url\(", page)
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy


def test_every_picture_in_a_report_has_its_alt_text_and_sentence(run, build_step):
    reader = _check(_page(run, build_step))
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert [image["alt"] for image in images] == [plot_step(run[0]).alt, plot_ranks(run).alt]
    assert plot_ranks(run).caption in reader.text


def test_headings_are_in_order_and_the_contents_lead_to_them(run, build_step):
    reader = _check(_page(run, build_step))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, 2, 2, 2, 3, 3, 2, 2]
    targets = {attributes["id"] for tag, attributes in reader.tags if tag == "section"}
    assert {attributes["href"][1:] for tag, attributes in reader.tags if tag == "a"} == targets


def test_tokens_are_text_only(run, build_step):
    page = _page(run, build_step)
    text = _check(page).text
    for token in EVIL:
        assert token.replace('"', '\\"') in text
    assert all(c.isprintable() or c == "\n" for c in page)


def test_the_text_grows_from_card_to_card_with_the_new_text_marked(run):
    page = report("T", [Section("S", steps=run[:2], prompt="Once there")])
    first, second = run[0].new_text, run[1].new_text
    assert re.search(rf"Once there{first}<mark[^>]*>{second}</mark>", page)


def test_the_page_knows_dark_light_and_paper(run):
    page = report("T", [Section("S")])
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_notebook_shows_records_as_html(build_step, build_train_step):
    step = build_step(watched=(2,), finish="eos")
    text = _check(step._repr_html_()).text
    for shown in (
        '" was"',
        "0.497",
        "0.649",
        "chosen: u 0.370 in [0.000,0.649)",
        "watched",
        "TopK(2)",
        "The end:",
    ):
        assert shown in text
    assert "stage by stage" in _check(step.decision._repr_html_()).text
    assert "-2.618" not in _check(step.decision.candidates[2]._repr_html_()).text
    assert "embedding" in _check(build_train_step(watched=True)._repr_html_()).text
    assert "gradients clipped × 0.431" in _check(build_train_step()._repr_html_()).text


def test_what_a_stage_says_of_a_step_stands_under_its_name(build_step):
    decision = build_step().decision
    noted = replace(decision.stages[-1], note='3 tokens fit, "<a>" among them')
    shown = _check(fragment(replace(decision, stages=(*decision.stages[:-1], noted)))).text
    assert noted.stage + noted.note in shown


def test_the_ledger_has_a_column_of_changes_for_each_watched_token(build_step):
    """The changes are worked out from the candidates' own probabilities; TopK(2) removes the third."""
    decision = build_step(watched=(2, 1)).decision
    second, third = decision.candidates[1:3]
    rows = [row[5:7] for row in _check(fragment(decision)).rows if len(row) == 8]
    assert rows == [
        ['log p of " lived" id 282', 'log p of " is" id 283'],
        ["", ""],
        [f"{log(second.p_tempered / second.p_model):+.3f}", f"{log(third.p_tempered / third.p_model):+.3f}"],
        [f"{log(second.p_final / second.p_tempered):+.3f}", "out"],
    ]


def test_a_watched_token_that_a_stage_does_not_speak_of_has_an_empty_cell(build_step):
    decision = build_step(watched=(1,)).decision
    silent = replace(decision.stages[0], watched={})
    shown = _check(fragment(replace(decision, stages=(silent, *decision.stages[1:]))))
    assert [row[5] == "" for row in shown.rows[-3:]] == [True, True, False]


def test_equal_records_give_equal_html_and_others_are_refused(build_step):
    assert fragment(build_step()) == fragment(build_step())
    with pytest.raises(MinilmError, match="got a int"):
        fragment(3)


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec=None, categories=None), max_size=12), min_size=10, max_size=10)
)
def test_any_text_leaves_the_fragment_well_formed(build_step, texts):
    page = fragment(
        build_step(texts=texts, k=9, new_text=texts[0], text=texts[1], finish="stop"), so_far=texts[2]
    )
    _check(page)
    assert all(c.isprintable() or c == "\n" for c in page)
    page.encode("utf-8")


def test_the_ledger_shows_the_distance_to_each_cut_and_the_facts_a_fragile_step(build_step):
    decision = build_step().decision
    rows = _check(fragment(decision)).rows
    cuts = [row[-1] for row in rows if len(row) == 6 and row[0].startswith(("stage", "T"))]
    assert cuts == ["to its cut", "", f"{decision.stages[1].cut:.3g}"]
    assert "fragile" not in _check(fragment(decision)).text
    assert "fragile: changes of 1e-5" in _check(fragment(replace(decision, fragile=True))).text


def test_a_short_token_stays_on_one_line_and_a_long_one_may_break():
    assert "white-space:pre;" in shown_token(" Friday")
    assert "white-space:pre-wrap;" in shown_token(" " * 60)
