"""A twin run as a table and a verdict in words; it renders records and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, clip, wrap
from minilm.faces.visible import quoted

__all__ = ["twin_sentences", "twin_table"]


def twin_table(steps: Sequence[Any]) -> str:
    """A row per step: what each chose, the largest difference of a logit, KL, margin and reach."""
    rows = [["step", "first", "second", "logits apart", "KL", "margin", "ends moved"]]
    for step in steps:
        chosen = [f"{clip(quoted(text), 20)} {i}" for text, i in zip(step.texts, step.ids, strict=True)]
        second = "same" if step.ids[0] == step.ids[1] else chosen[1]
        numbers = [f"{value:.1e}" for value in (step.apart, step.kl, step.margin, step.reach)]
        rows.append([str(step.index + 1), chosen[0], second, *numbers])
    return "\n".join(clip(row, WIDTH) for row in align(rows, "rllrrrr", gap=2))


def twin_sentences(verdict: Any) -> str:
    """The verdict in a few lines: how far apart, how often agreed, where the texts part and why."""
    one, other = verdict.names
    lines = wrap(
        f"{other} beside {one}, {verdict.steps} steps: the same choice in {verdict.agreement:.1%}, logits at "
        f"most {verdict.apart:.1e} apart, KL at most {verdict.kl:.1e} nats, {verdict.mean_kl:.1e} on average",
        WIDTH,
        "  ",
    )
    first = verdict.first
    if first is None:
        return "\n".join([*lines, "the texts are the same"])
    texts = [quoted(text) for text in first.texts]
    lines.append(f"the texts part at token {first.index + 1}: {texts[0]} and {texts[1]}")
    moved = f"the margin was {first.margin:.1e} and what decides moved by {first.reach:.1e}"
    if verdict.explained:
        lines += wrap(f"rounding explains it: {moved}, with logits {first.apart:.1e} apart", WIDTH, "  ")
    else:
        lines += wrap(f"rounding does not explain it: logits {first.apart:.1e} apart; {moved}", WIDTH, "  ")
    return "\n".join(lines)
