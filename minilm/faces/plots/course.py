"""Numbers over a whole run or text: entropy, k, probability, embeddings, ranks, and surprisal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from minilm.faces.numerals import count, fixed, probability, signed
from minilm.faces.plots.picture import BLUE, GREY, ORANGE, PALE, Picture, label, panels, set_labels
from minilm.faces.visible import piece
from minilm.records import Step

if TYPE_CHECKING:
    from minilm.generation.score import TokenScore

__all__ = ["plot_course", "plot_embeddings", "plot_ranks", "plot_surprisal"]

_SURPRISAL_CAPTION = (
    "Each bar is a token's surprisal (-ln p, nats), orange where it was not the most likely one; the line is "
    "the entropy, the surprisal that the model itself expected."
)
_LEGIBLE = 60  # tokens; the names of more would overlap


def plot_course(steps: Sequence[Step]) -> Picture:
    """Draw entropy, adaptive k and the chosen token's probability, before and after the stages."""
    figure, (entropy, k, p) = panels(_find_width(steps), 6.4, 3, sharex=True)
    decisions = [step.decision for step in steps]
    _draw_before_and_after(
        entropy, steps, [d.raw.entropy for d in decisions], [d.final.entropy for d in decisions]
    )
    _draw_before_and_after(k, steps, [d.raw.k_used for d in decisions], [d.final.k_used for d in decisions])
    _draw_before_and_after(
        p, steps, [d.chosen.p_model for d in decisions], [d.chosen.p_final for d in decisions]
    )
    set_labels(entropy, "How sure the model was", y="entropy (nats)")
    set_labels(k, y="k: tokens that count")
    set_labels(p, x="chosen token", y="p of the chosen")
    for panel, top in ((entropy, None), (k, None), (p, 1.05)):
        panel.set_ylim(0, top)
    k.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _name_steps(p, steps, chosen=True)
    entropy.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    caption = (
        "Grey is the model's own distribution and blue the distribution after the stages; "
        "high entropy and a large k mean that many continuations were possible."
    )
    facts = [f"{fixed(d.raw.entropy)} to {fixed(d.final.entropy)}" for d in decisions]
    chosen = [probability(d.chosen.p_final) for d in decisions]
    alt = (
        f"Three line charts over {len(steps)} steps. Entropy before and after, in nats: {', '.join(facts)}. "
    )
    return Picture(figure, caption, alt + f"Probability of the chosen token: {', '.join(chosen)}.")


def plot_embeddings(steps: Sequence[Step]) -> Picture:
    """Draw the norm of each embedding that was read, and its cosine to the one before."""
    figure, (norm, cosine) = panels(_find_width(steps), 4.6, 2, sharex=True)
    places = [step.index + 1 for step in steps]
    norms, cosines = [s.embedding.norm for s in steps], [s.embedding.cosine for s in steps]
    norm.plot(places, norms, color=BLUE, marker="o", markersize=4, linewidth=1.5)
    cosine.axhline(0, color=PALE, linewidth=1)
    known = [(x, c) for x, c in zip(places, cosines, strict=True) if c is not None]
    cosine.vlines([x for x, _ in known], 0, [c for _, c in known], color=ORANGE, linewidth=2)
    cosine.plot(
        [x for x, _ in known], [c for _, c in known], color=ORANGE, marker="o", markersize=5, linestyle=""
    )
    cosine.set_ylim(-1.05, 1.05)
    norm.margins(y=0.2)
    set_labels(norm, "The embedding of each token that was read", y="norm")
    set_labels(cosine, x="token read", y="cosine to the one before")
    _name_steps(cosine, steps, chosen=False)
    caption = (
        "Above, the length of each token's vector; below, how far it points the same way as the one before: "
        "1 for the same, 0 for unrelated."
    )
    shown = ["none" if c is None else signed(c) for c in cosines]
    facts = f"Norms: {', '.join(map(fixed, norms))}. Cosines: {', '.join(shown)}."
    return Picture(figure, caption, f"Two charts over {len(steps)} steps. {facts}")


def plot_ranks(steps: Sequence[Step]) -> Picture:
    """Draw the rank of the chosen token in the whole vocabulary, step by step."""
    figure, (panel,) = panels(_find_width(steps), 3.2)
    places, values = [step.index + 1 for step in steps], [step.decision.chosen.rank for step in steps]
    colours = [BLUE if rank == 1 else ORANGE for rank in values]
    panel.set_yscale("log")
    panel.vlines(places, 1, values, color=colours, linewidth=2)
    best = [x for x, rank in zip(places, values, strict=True) if rank == 1]
    others = [(x, rank) for x, rank in zip(places, values, strict=True) if rank > 1]
    panel.plot(best, [1] * len(best), color=BLUE, marker="o", linestyle="", label="the best token")
    panel.plot(
        [x for x, _ in others],
        [r for _, r in others],
        color=ORANGE,
        marker="D",
        linestyle="",
        label="another one",
    )
    for x, rank in others:
        panel.annotate(str(rank), (x, rank), (0, 6), textcoords="offset points", ha="center", fontsize=8)
    panel.set_ylim(0.8, 2 * max([*values, 5]))
    panel.yaxis.set_major_formatter(lambda rank, _: f"{rank:,.0f}")
    panel.yaxis.set_minor_formatter(lambda *_: "")
    set_labels(panel, "How far down the list the choice fell", "chosen token", "rank (log scale)")
    _name_steps(panel, steps, chosen=True)
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    caption = (
        "A round mark on the bottom line is the model's best token, a diamond above it a lower token that "
        "the draw or a person chose."
    )
    alt = f"Chart over {len(steps)} steps. Rank of the chosen token: {', '.join(map(str, values))}."
    return Picture(figure, caption, alt)


def _find_width(steps: Sequence[Step]) -> float:
    return min(max(7.0, 0.32 * len(steps) + 2), 14.0)


def _draw_before_and_after(
    panel: Axes, steps: Sequence[Step], before: list[float], after: list[float]
) -> None:
    places = [step.index + 1 for step in steps]
    lines = panel.plot(places, before, color=GREY, marker="s", linewidth=1.2, label="before the stages")
    lines += panel.plot(places, after, color=BLUE, marker="o", linewidth=1.8, label="after the stages")
    for line in lines:
        line.set_markersize(4)
        # A mark on the edge of the panel is drawn whole.
        line.set_clip_on(False)
        line.set_in_layout(False)
    panel.grid(axis="y", color="#e6eaee")


def _name_steps(panel: Axes, steps: Sequence[Step], chosen: bool) -> None:
    if len(steps) > 48:
        set_labels(panel, x="step")
        return
    tokens = [step.decision.chosen if chosen else step for step in steps]
    names = [label(token.text, token.bytes, 14) for token in tokens]
    panel.set_xticks([step.index + 1 for step in steps], names, rotation=90, parse_math=False)


def plot_surprisal(tokens: Sequence[TokenScore]) -> Picture:
    """Draw surprisal and entropy, in nats, over the tokens of a text."""
    width = min(max(6.0, 1.2 + 0.27 * len(tokens)), 16.0)
    figure, (panel,) = panels(width, 3.8)
    places = range(len(tokens))
    heights = [0.0 if t.surprisal is None else t.surprisal for t in tokens]
    finite = [h for h in heights if np.isfinite(h)]
    # A surprisal that is not finite gets a bar above all others.
    heights = [min(h, max(finite, default=0.0) + 1) for h in heights]
    colours = [BLUE if t.rank == 1 else ORANGE for t in tokens]
    panel.bar(places, heights, 0.8, color=colours)
    expected = [np.nan if t.entropy is None else t.entropy for t in tokens]
    panel.plot(places, expected, color=GREY, linewidth=1.2, drawstyle="steps-mid", label="entropy")
    panel.legend(fontsize=9, frameon=False)
    panel.set_xlim(-0.6, max(len(tokens), 1) - 0.4)
    if len(tokens) <= _LEGIBLE:
        names = [label(t.text, t.bytes, 12) for t in tokens]
        panel.set_xticks(places, names, rotation=90, parse_math=False)
    set_labels(panel, "Surprisal over the text", None if len(tokens) <= _LEGIBLE else "token", "nats")
    return Picture(figure, _SURPRISAL_CAPTION, _describe_surprisal(tokens))


def _describe_surprisal(tokens: Sequence[TokenScore]) -> str:
    scored = sorted((t for t in tokens if t.surprisal is not None), key=lambda t: -(t.surprisal or 0.0))
    worst = "; ".join(
        f"{piece(t.text, t.bytes)} {fixed(t.surprisal or 0.0)} nats, rank {t.rank}" for t in scored[:5]
    )
    return f"Surprisal of {count(len(scored))} tokens. Most surprising: {worst or 'none scored'}."
