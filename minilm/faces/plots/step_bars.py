"""The best tokens of one step as bars: before the stages, after them, and where the draw fell."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from minilm.faces.layout import clip
from minilm.faces.numerals import interval, probability
from minilm.faces.plots.picture import BLUE, GREY, INK, ORANGE, PALE, Picture, drawable, label, panels, write
from minilm.faces.text.brief import brief_candidates, candidate_note
from minilm.faces.visible import piece
from minilm.records import Candidate, Decision, Step

__all__ = ["bars"]

_CAPTION = (
    "Each token has two bars, grey for its probability from the model and blue (orange for the chosen one) "
    "for what the stages made of it; the strip below is the unit interval that the draw falls on."
)


def bars(record: Step | Decision, most: int = 10) -> Picture:
    """The `most` best tokens of a step, the chosen and the watched ones always among them."""
    decision = record.decision if isinstance(record, Step) else record
    candidates = brief_candidates(decision, most)
    rows = max(len(candidates), 2)
    figure, (panel, strip) = panels(8, 1.9 + 0.36 * rows, 2, height_ratios=[rows * 0.9, 1])
    _tokens(panel, decision, candidates)
    write(panel, clip(_title(record), 52), "probability")
    _strip(strip, decision)
    return Picture(figure, _CAPTION, _alt(record, decision, candidates))


def _title(record: Step | Decision) -> str:
    if isinstance(record, Step):
        read, chosen = piece(record.text, record.bytes), record.decision.chosen
        return f"Step {record.index + 1}: after {read} comes {piece(chosen.text, chosen.bytes)}"
    return f"Next: {piece(record.chosen.text, record.chosen.bytes)}"


def _tokens(panel: Axes, decision: Decision, candidates: list[Candidate]) -> None:
    places = range(len(candidates))
    chosen = [c.id == decision.chosen.id for c in candidates]
    after = [ORANGE if here else BLUE for here in chosen]
    panel.barh([p - 0.19 for p in places], [c.p_model for c in candidates], 0.36, color=PALE)
    panel.barh([p + 0.19 for p in places], [c.p_final for c in candidates], 0.36, color=after)
    top = max([p for c in candidates for p in (c.p_model, c.p_final)] + [1e-9])
    _names(panel, candidates, chosen)
    for place, c in enumerate(candidates):
        ink, weight = (INK, "bold") if chosen[place] else (GREY, "normal")
        style: dict[str, Any] = {"color": ink, "fontweight": weight, "va": "center", "parse_math": False}
        end = max(c.p_model, c.p_final) + top * 0.015
        panel.text(end, place, _note(c, decision), fontsize=9, **style)
    panel.set_xlim(0, top * 1.5)
    panel.set_xticks([tick for tick in panel.get_xticks() if tick <= min(1, top * 1.5)])
    panel.set_ylim(len(candidates) - 0.4, -0.6)
    keys = [Patch(color=PALE, label="as the model gave it"), Patch(color=BLUE, label="after the stages")]
    panel.legend(handles=keys, loc="lower right", fontsize=9, frameon=False)


def _names(panel: Axes, candidates: list[Candidate], chosen: list[bool]) -> None:
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


def _strip(strip: Axes, decision: Decision) -> None:
    strip.set_xlim(0, 1)
    strip.set_ylim(0, 1)
    strip.set_yticks([])
    strip.spines["left"].set_visible(False)
    strip.axhspan(0.1, 0.6, color=PALE, alpha=0.5, linewidth=0)
    if decision.u is None or decision.interval is None:
        write(strip, x="no draw: the token was forced" if decision.forced else "no draw was needed")
        return
    low, high = decision.interval
    strip.fill_between([low, high], 0.1, 0.6, color=ORANGE, linewidth=0)
    strip.plot([decision.u, decision.u], [0, 0.72], color=INK, linewidth=2)
    side = "right" if decision.u > 0.8 else "left" if decision.u < 0.2 else "center"
    strip.text(decision.u, 0.84, f"u {decision.u:.3f}", ha=side, fontsize=9, color=INK)
    where = interval(decision.u, low, high)
    write(strip, x=f"the draw: {where}, survivors side by side in the order of their ids")


def _alt(record: Step | Decision, decision: Decision, candidates: list[Candidate]) -> str:
    facts = [
        f"{piece(c.text, c.bytes)} {probability(c.p_model)} → {probability(c.p_final)}" for c in candidates
    ]
    where = f"of step {record.index + 1}" if isinstance(record, Step) else "of a decision"
    chosen = f"{piece(decision.chosen.text, decision.chosen.bytes)}, rank {decision.chosen.rank}"
    return f"Bar chart of the best tokens {where}. Before and after: {'; '.join(facts)}. Chosen: {chosen}."
