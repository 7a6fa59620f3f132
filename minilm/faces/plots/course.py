"""Numbers of a run over its steps: entropy, k and probability; embeddings; the rank of what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from minilm.faces.numerals import fixed, probability, signed
from minilm.faces.plots.picture import BLUE, GREY, ORANGE, PALE, Picture, label, panels, write
from minilm.records import Step

__all__ = ["course", "embeddings", "ranks"]


def course(steps: Sequence[Step]) -> Picture:
    """Entropy, adaptive k and the chosen token's probability over the steps, before and after the stages."""
    figure, (entropy, k, p) = panels(_width(steps), 6.4, 3, sharex=True)
    decisions = [step.decision for step in steps]
    _pair(entropy, steps, [d.raw.entropy for d in decisions], [d.final.entropy for d in decisions])
    _pair(k, steps, [d.raw.k_used for d in decisions], [d.final.k_used for d in decisions])
    _pair(p, steps, [d.chosen.p_model for d in decisions], [d.chosen.p_final for d in decisions])
    write(entropy, "How sure the model was", y="entropy (nats)")
    write(k, y="k: tokens that count")
    write(p, x="chosen token", y="p of the chosen")
    for panel, top in ((entropy, None), (k, None), (p, 1.05)):
        panel.set_ylim(0, top)
    k.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _steps(p, steps, chosen=True)
    entropy.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    caption = (
        "Grey is the model's own distribution and blue what the stages left of it; "
        "high entropy and a large k mean that many continuations were possible."
    )
    facts = [f"{fixed(d.raw.entropy)} to {fixed(d.final.entropy)}" for d in decisions]
    chosen = [probability(d.chosen.p_final) for d in decisions]
    alt = (
        f"Three line charts over {len(steps)} steps. Entropy before and after, in nats: {', '.join(facts)}. "
    )
    return Picture(figure, caption, alt + f"Probability of the chosen token: {', '.join(chosen)}.")


def embeddings(steps: Sequence[Step]) -> Picture:
    """Norm of the embedding that was read and its cosine to the one before, over the steps."""
    figure, (norm, cosine) = panels(_width(steps), 4.6, 2, sharex=True)
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
    write(norm, "The embedding of each token that was read", y="norm")
    write(cosine, x="token read", y="cosine to the one before")
    _steps(cosine, steps, chosen=False)
    caption = (
        "Above, the length of each token's vector; below, how far it points the same way as the one before: "
        "1 for the same, 0 for unrelated."
    )
    shown = ["none" if c is None else signed(c) for c in cosines]
    facts = f"Norms: {', '.join(map(fixed, norms))}. Cosines: {', '.join(shown)}."
    return Picture(figure, caption, f"Two charts over {len(steps)} steps. {facts}")


def ranks(steps: Sequence[Step]) -> Picture:
    """The rank, over the whole vocabulary, of the token chosen in each step."""
    figure, (panel,) = panels(_width(steps), 3.2)
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
    write(panel, "How far down the list the choice fell", "chosen token", "rank (log scale)")
    _steps(panel, steps, chosen=True)
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    caption = (
        "A round mark on the ground line is the model's favourite, a diamond above it a token that the draw "
        "or a person preferred to better ones."
    )
    alt = f"Chart over {len(steps)} steps. Rank of the chosen token: {', '.join(map(str, values))}."
    return Picture(figure, caption, alt)


def _width(steps: Sequence[Step]) -> float:
    return min(max(7.0, 0.32 * len(steps) + 2), 14.0)


def _pair(panel: Axes, steps: Sequence[Step], before: list[float], after: list[float]) -> None:
    places = [step.index + 1 for step in steps]
    whole: dict[str, Any] = {"markersize": 4, "clip_on": False, "in_layout": False}  # not cut at the edge
    panel.plot(places, before, color=GREY, marker="s", linewidth=1.2, label="before the stages", **whole)
    panel.plot(places, after, color=BLUE, marker="o", linewidth=1.8, label="after the stages", **whole)
    panel.grid(axis="y", color="#e6eaee")


def _steps(panel: Axes, steps: Sequence[Step], chosen: bool) -> None:
    if len(steps) > 48:
        write(panel, x="step")
        return
    tokens = [step.decision.chosen if chosen else step for step in steps]
    names = [label(token.text, token.bytes, 14) for token in tokens]
    panel.set_xticks([step.index + 1 for step in steps], names, rotation=90, parse_math=False)
