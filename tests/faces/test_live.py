"""The bar chart that stays in place."""

import io
import re

from rich.console import Console

from minilm.faces.live import chart, play

GOLDEN = """\
step 3  read " there" id 281  emb (64,) norm 7.32 cos +0.12 [0.13 -0.13 … -0.50]
 rank token    logit before           after
    1 " was"    5.21 0.497  ████    │ 0.649 ██████████▍     │  chosen: u 0.370 in [0.000,0.649)
    2 " lived"  4.72 0.305  ██▌     │ 0.351 █████▋          │
    3 " is"     3.29 0.073  ▋       │ 0                     │  cut by TopK(2)
 entropy 1.35 → 0.65 nats   k 8 → 2   rank 1
 drawn, and the most likely one

Once there was"""


def _shown(renderable):
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(renderable)
    return "\n".join(line.rstrip() for line in console.export_text().rstrip("\n").split("\n"))


def test_the_chart_of_a_step_is_this_text(build_step):
    assert _shown(chart(build_step(), "Once there", most=3)) == GOLDEN


def test_the_chart_is_at_most_100_columns_and_shows_nothing_raw(build_step, hostile):
    step = build_step(texts=[*hostile, b"\xe2\x82"], k=9, watched=(3,), new_text="\x1b[2J", text="\u202e")
    shown = _shown(chart(step, "\x07one\ntwo"))
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert max(map(len, shown.split("\n"))) <= 100


def test_an_ascii_console_gets_ascii(build_step, hostile):
    _shown(chart(build_step(texts=[*hostile, " ran"]), "中", encoding="ascii")).encode("ascii")


def test_playing_hands_every_step_on_and_redraws_in_place(run):
    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=100, color_system="standard", legacy_windows=False
    )
    assert list(play(run, console)) == run
    shown = stream.getvalue()
    assert shown.count("\x1b[1A") >= len(run) - 1
    for step in run:
        assert f"step {step.index + 1} " in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "".join(step.new_text for step in run) in plain


def test_off_a_terminal_the_last_chart_remains(run):
    stream = io.StringIO()
    list(play(run, Console(file=stream, width=100)))
    assert "\x1b" not in stream.getvalue()
    assert f"step {len(run)}" in stream.getvalue()
    assert stream.getvalue().endswith("\n")
