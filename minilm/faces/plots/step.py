"""One step as a picture: its best tokens as bars, and its token under every draw and parameter value."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from minilm.faces.layout import clip
from minilm.faces.numerals import fixed, interval, probability
from minilm.faces.plots.picture import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    VERMILLION,
    Picture,
    drawable,
    label,
    panels,
    set_labels,
)
from minilm.faces.text.brief import brief_candidates, candidate_note
from minilm.faces.visible import piece
from minilm.records import Array, Candidate, Decision, Step

if TYPE_CHECKING:
    from minilm.trace.sweep import DrawMap

__all__ = ["plot_draw_map", "plot_step"]

_STEP_CAPTION = (
    "Each token has two bars, grey for its probability from the model and blue (orange for the chosen one) "
    "for its probability after the stages; the strip below is the unit interval that the draw falls on."
)
_DRAW_MAP_CAPTION = (
    "Each colour is a token; go to the value of the parameter and up to the height of the draw to see which "
    "one is taken. The dashed line is the draw of the recorded run and the cross is where that run was."
)
_TOKEN_COLOURS = [BLUE, ORANGE, GREEN, VERMILLION, "#CC79A7", "#56B4E9", "#F0E442"]  # Okabe and Ito, 2008


def plot_step(record: Step | Decision, most: int = 10) -> Picture:
    """Draw the best tokens of one step as bars, and where the draw fell.

    Args:
        record: the step, or its decision alone.
        most: how many tokens to draw; the chosen and the watched tokens are always among them.
    """
    decision = record.decision if isinstance(record, Step) else record
    candidates = brief_candidates(decision, most)
    rows = max(len(candidates), 2)
    figure, (panel, strip) = panels(8, 1.9 + 0.36 * rows, 2, height_ratios=[rows * 0.9, 1])
    _draw_bars(panel, decision, candidates)
    set_labels(panel, clip(_title(record), 52), "probability")
    _draw_strip(strip, decision)
    return Picture(figure, _STEP_CAPTION, _describe_step(record, decision, candidates))


def _title(record: Step | Decision) -> str:
    if isinstance(record, Step):
        read, chosen = piece(record.text, record.bytes), record.decision.chosen
        return f"Step {record.index + 1}: after {read} comes {piece(chosen.text, chosen.bytes)}"
    return f"Next: {piece(record.chosen.text, record.chosen.bytes)}"


def _draw_bars(panel: Axes, decision: Decision, candidates: list[Candidate]) -> None:
    places = range(len(candidates))
    chosen = [c.id == decision.chosen.id for c in candidates]
    after = [ORANGE if here else BLUE for here in chosen]
    panel.barh([p - 0.19 for p in places], [c.p_model for c in candidates], 0.36, color=PALE)
    panel.barh([p + 0.19 for p in places], [c.p_final for c in candidates], 0.36, color=after)
    # An axis needs a length above 0, also where all probabilities are 0.
    top = max([p for c in candidates for p in (c.p_model, c.p_final)] + [1e-9])
    _name_rows(panel, candidates, chosen)
    for place, c in enumerate(candidates):
        ink, weight = (INK, "bold") if chosen[place] else (GREY, "normal")
        end = max(c.p_model, c.p_final) + top * 0.015
        note = panel.text(
            end, place, _note(c, decision), fontsize=9, color=ink, fontweight=weight, va="center"
        )
        note.set_parse_math(False)
    panel.set_xlim(0, top * 1.5)
    panel.set_xticks([tick for tick in panel.get_xticks() if tick <= min(1, top * 1.5)])
    panel.set_ylim(len(candidates) - 0.4, -0.6)
    keys = [Patch(color=PALE, label="as the model gave it"), Patch(color=BLUE, label="after the stages")]
    panel.legend(handles=keys, loc="lower right", fontsize=9, frameon=False)


def _name_rows(panel: Axes, candidates: list[Candidate], chosen: list[bool]) -> None:
    shown = [label(c.text, c.bytes, 20) for c in candidates]
    width = max(map(len, shown))
    names = [f"{c.rank}  {name:<{width}}" for c, name in zip(candidates, shown, strict=True)]
    panel.set_yticks(range(len(names)), names, fontfamily="DejaVu Sans Mono", parse_math=False)
    for tick, here in zip(panel.get_yticklabels(), chosen, strict=True):
        tick.set_fontweight("bold" if here else "normal")


def _note(c: Candidate, decision: Decision) -> str:
    drawn = c.id == decision.chosen.id and not decision.forced
    note = "chosen" if drawn else candidate_note(c, decision)
    return f"{probability(c.p_model)} → {probability(c.p_final)}   {drawable(clip(note, 44))}".rstrip()


def _draw_strip(strip: Axes, decision: Decision) -> None:
    strip.set_xlim(0, 1)
    strip.set_ylim(0, 1)
    strip.set_yticks([])
    strip.spines["left"].set_visible(False)
    strip.axhspan(0.1, 0.6, color=PALE, alpha=0.5, linewidth=0)
    if decision.u is None or decision.interval is None:
        set_labels(strip, x="no draw: the token was forced" if decision.forced else "no draw was needed")
        return
    low, high = decision.interval
    strip.fill_between([low, high], 0.1, 0.6, color=ORANGE, linewidth=0)
    strip.plot([decision.u, decision.u], [0, 0.72], color=INK, linewidth=2)
    side = "right" if decision.u > 0.8 else "left" if decision.u < 0.2 else "center"
    strip.text(decision.u, 0.84, f"u {decision.u:.3f}", ha=side, fontsize=9, color=INK)
    where = interval(decision.u, low, high)
    set_labels(strip, x=f"the draw: {where}, survivors side by side in the order of their ids")


def _describe_step(record: Step | Decision, decision: Decision, candidates: list[Candidate]) -> str:
    facts = [
        f"{piece(c.text, c.bytes)} {probability(c.p_model)} → {probability(c.p_final)}" for c in candidates
    ]
    where = f"of step {record.index + 1}" if isinstance(record, Step) else "of a decision"
    chosen = f"{piece(decision.chosen.text, decision.chosen.bytes)}, rank {decision.chosen.rank}"
    return f"Bar chart of the best tokens {where}. Before and after: {'; '.join(facts)}. Chosen: {chosen}."


def plot_draw_map(drawn: DrawMap, texts: Callable[[int], tuple[str, bytes]]) -> Picture:
    """Draw which token every draw takes under every value of a stage's parameter.

    Args:
        drawn: the tokens, (M draws, N values). The seven most common tokens have a colour of their own.
        texts: returns text and bytes of an id.
    """
    found, counts = np.unique(drawn.ids, return_counts=True)
    most_common = found[np.argsort(-counts, kind="stable")[: len(_TOKEN_COLOURS)]].tolist()
    # The number of each token's colour; the last number is for all tokens without one of their own.
    shades = np.full(drawn.ids.shape, len(most_common))  # (M, N)
    for place, token_id in enumerate(most_common):
        shades[drawn.ids == token_id] = place
    colours = [*_TOKEN_COLOURS[: len(most_common)], PALE]
    figure, (panel,) = panels(9, 5)
    panel.pcolormesh(
        _find_edges(drawn.values), np.linspace(0, 1, len(drawn.draws) + 1), shades,
        cmap=ListedColormap(colours), vmin=-0.5, vmax=len(most_common) + 0.5, rasterized=True,
    )  # fmt: skip
    if drawn.u is not None:
        panel.axhline(drawn.u, color=INK, linestyle="--", linewidth=1.2)
        if drawn.value is not None and drawn.values[0] <= drawn.value <= drawn.values[-1]:
            panel.plot([drawn.value], [drawn.u], "X", color="white", markeredgecolor=INK, markersize=11)
    set_labels(panel, f"Step {drawn.index + 1}: the token that each draw takes", drawn.name, "draw u")
    names = [label(*texts(token_id)) for token_id in most_common]
    keys = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=False)]
    if len(found) > len(most_common):
        keys.append(Patch(color=PALE, label=f"{len(found) - len(most_common)} others"))
    legend = panel.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return Picture(figure, _DRAW_MAP_CAPTION, _describe_draw_map(drawn, names))


def _find_edges(values: Array) -> Array:
    """Return the borders (N + 1,) of cells around ascending values (N,)."""
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middles = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _describe_draw_map(drawn: DrawMap, names: list[str]) -> str:
    spread = f"{drawn.name} from {fixed(drawn.values[0])} to {fixed(drawn.values[-1])}"
    draw = "nothing was drawn" if drawn.u is None else f"the draw was {fixed(drawn.u, 4)}"
    return f"Map of draw by {spread} for step {drawn.index + 1}; {draw}. Most common: {', '.join(names)}."
