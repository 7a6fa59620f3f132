"""Pictures: each says how to read it, draws every token, and is the same for equal records."""

import errno
import re
import xml.etree.ElementTree as tree
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from minilm.errors import MinilmError
from minilm.faces.plots import (
    plot_course,
    plot_embeddings,
    plot_heatmap,
    plot_losses,
    plot_ranks,
    plot_step,
    save_picture,
)
from minilm.records import Removal

KINDS = {
    "bars": lambda run: plot_step(run[1]),
    "decision": lambda run: plot_step(run[1].decision),
    "heatmap": plot_heatmap,
    "course": plot_course,
    "embeddings": plot_embeddings,
    "ranks": plot_ranks,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_one_sentence_an_alt_text_and_two_formats(run, kind, tmp_path):
    picture = KINDS[kind](run[:4])
    assert re.fullmatch(r"[A-Z][^.!?]*\.", picture.caption)
    assert len(picture.alt) > 40
    assert save_picture(picture, tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert tree.fromstring(save_picture(picture, tmp_path / "a.svg").read_text()).tag.endswith("svg")


@pytest.mark.parametrize("kind", KINDS)
def test_equal_records_give_equal_files(run, kind):
    assert KINDS[kind](run[:3]).svg() == KINDS[kind](run[:3]).svg()


def test_the_alt_text_names_tokens_and_numbers(build_step):
    alt = plot_step(build_step()).alt
    assert '" was" 0.497 → 0.649' in alt
    assert 'Chosen: " was", rank 1' in alt
    assert '" was" rank 1 p 0.497' in plot_heatmap([build_step()]).alt


def test_hostile_tokens_are_drawn_as_escapes_without_a_warning(build_step, hostile):
    step = build_step(
        texts=[*hostile[:8], "$x^2$", b"\xe2\x82"], k=9, forced=8, text="$\\frac$", watched=(0,)
    )
    for picture in (
        plot_step(step),
        plot_heatmap([step]),
        plot_course([step]),
        plot_ranks([step]),
        plot_embeddings([step]),
    ):
        picture.png()
        formulas = [
            t
            for t in picture.figure.findobj(Text)
            if t.get_visible() and t.get_text().count("$") > 1 and t.get_parse_math()
        ]
        assert formulas == []
        assert all(character.isprintable() for character in picture.alt)


def test_a_quotation_mark_of_a_token_stands_in_its_cell_without_a_backslash(build_step):
    figure = plot_heatmap(
        [build_step(texts=['?"', '"', " a", b"\xe2", "\\", " was", " is", "e", "f", "g"])]
    ).figure
    cells = {text.get_text() for text in figure.findobj(Text)}
    assert {'?"', '"', "a", 'b"\\xe2"', "\\\\", "was"} <= cells


def test_no_mark_on_the_edge_of_a_course_is_cut_in_half(run):
    marked = [
        line for panel in plot_course(run).figure.axes for line in panel.lines if line.get_marker() in "os"
    ]
    assert len(marked) == 6
    assert not any(line.get_clip_on() for line in marked)


def test_a_stage_named_with_dollars_is_no_formula(build_step):
    decision = build_step().decision
    cut = replace(decision.candidates[3], removed_by=Removal("Bias('$x^2$', -9)", "out"))
    picture = plot_step(replace(decision, candidates=(*decision.candidates[:3], cut)))
    shown = [text for text in picture.figure.findobj(Text) if "$x^2$" in text.get_text()]
    assert [text.get_parse_math() for text in shown] == [False]


def test_pictures_of_no_steps_and_of_long_runs_can_be_drawn(run):
    for make in (plot_heatmap, plot_course, plot_embeddings, plot_ranks):
        make([]).png()
        make(run * 6).figure.canvas.draw()


def test_loss_curves_share_a_picture_with_the_floor(build_train_step):
    curves = {
        name: [build_train_step(i, loss=3 / i, validation=None) for i in (1, 2)]
        for name in ("numpy", "torch")
    }
    picture = plot_losses(curves, floor=1.1)
    assert "numpy from 3.000 to 1.500 nats at step 2; torch" in picture.alt
    assert "The entropy floor is 1.100 nats" in picture.alt
    labels = [text.get_text() for text in picture.figure.axes[0].get_legend().get_texts()]
    assert labels == ["numpy", "torch", "entropy floor 1.100"]
    plot_losses({}).png()


def test_another_file_ending_is_refused(run, tmp_path):
    with pytest.raises(MinilmError, match=r"got 'a\.jpg'"):
        save_picture(plot_ranks(run), tmp_path / "a.jpg")


def test_a_place_that_cannot_be_written_is_one_line(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MinilmError, match=r"The picture .*a\.png cannot be written: \w+"):
        save_picture(plot_ranks(run), tmp_path / "file" / "a.png")


def test_a_picture_is_replaced_by_a_whole_one_and_through_a_link(run, tmp_path):
    file = save_picture(plot_ranks(run), tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(file)
    other = plot_course(run)
    save_picture(other, tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert file.read_bytes() == other.png()


@pytest.mark.parametrize("stopped", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_picture_that_cannot_be_finished_leaves_the_old_one(run, tmp_path, monkeypatch, stopped):
    file = save_picture(plot_ranks(run), tmp_path / "a.png")
    old, write = file.read_bytes(), Path.write_bytes

    def cut(path, data):
        write(path, data[: len(data) // 2])
        raise stopped

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises((MinilmError, KeyboardInterrupt)) as refused:
        save_picture(plot_course(run), file)
    assert isinstance(refused.value, KeyboardInterrupt) or "No space left" in str(refused.value)
    assert file.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_notebook_shows_the_picture_with_its_alt_text(run):
    shown = plot_ranks(run)._repr_html_()
    assert 'alt="Chart over 12 steps' in shown
    assert "data:image/png;base64," in shown


@pytest.mark.parametrize("ranks_shown", [1, 3, 8])
def test_the_title_of_a_heatmap_stands_clear_of_the_ranks_above_its_columns(build_step, ranks_shown):
    steps = [build_step(index=n, forced=9) for n in range(4)]
    figure = plot_heatmap(steps, ranks_shown).figure
    FigureCanvasAgg(figure).draw()
    texts = figure.findobj(Text)
    (title,) = [text.get_window_extent() for text in texts if text.get_text().startswith("What the model")]
    marks = [text.get_window_extent() for text in texts if text.get_text().startswith("#")]
    assert len(marks) == 4
    assert not any(title.overlaps(mark) for mark in marks)
