"""A comparison of backends as a table and a sentence for each; it renders verdicts and computes nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from minilm.faces.layout import WIDTH, align, clip, wrap
from minilm.faces.visible import quoted

__all__ = [
    "comparison_table",
    "diagnosis_lines",
    "ladder_table",
    "row_lines",
    "sentence",
    "student_lines",
    "twin_sentences",
    "twin_table",
]

TEXT_WIDTH = 60


def comparison_table(verdicts: Sequence[Any], texts: Sequence[Any] = ()) -> str:
    """Rows of backend, stage, largest difference, step and parameter; then a sentence for each backend."""
    rows = [["backend", "stage", "largest difference", "step", "where"]]
    for verdict in verdicts:
        for stage, place in verdict.worst.items():
            apart = f"{place.difference.apart:.1e}"
            rows.append([verdict.backend, stage, apart, str(place.step), place.difference.parameter])
        rows += [[text.backend, "text", *_text(text)] for text in texts if text.backend == verdict.backend]
    lines = [*align(rows, "llrrl", gap=2), ""]
    lines += [sentence(verdict) for verdict in verdicts]
    if texts:
        lines.append(f"{texts[0].reference} wrote {clip(quoted(texts[0].reference_text), TEXT_WIDTH)}")
    if not all(verdict.equal for verdict in verdicts):
        lines.append("in float32 rounding grows with rate and steps; --dtype float64 tells it from a cause")
    return "\n".join(lines)


def _text(text: Any) -> list[str]:
    if text.parts_at is None:
        return ["equal", "", f"{len(text.ids)} tokens"]
    return ["parts", "", f"at token {text.parts_at + 1} of {len(text.reference_ids)}"]


def sentence(verdict: Any) -> str:
    """One line: equal, or where it first parts."""
    steps = f"{verdict.steps} step{'' if verdict.steps == 1 else 's'}"
    if verdict.equal:
        return f"{verdict.backend} equals {verdict.reference} over {steps} within {verdict.tolerance:g}"
    return f"{verdict.backend} first differs from {verdict.reference} at {verdict.first}"


def diagnosis_lines(diagnosis: Any) -> str:
    """A sentence, the causes as a table, then what each does and how it is mended."""
    pair = f"{diagnosis.suspect} and {diagnosis.reference}"
    if diagnosis.equal and not diagnosis.causes:
        return (
            f"{pair} are equal: {len(diagnosis.measured)} defaults were measured, and none makes a difference"
        )
    lines = [
        f"{pair} differ: {diagnosis.found}",
        *textwrap.wrap(_named(diagnosis), WIDTH, subsequent_indent="  "),
    ]
    rows = [["cause", "alone", "where", "left when neutral"]]
    for cause in diagnosis.causes:
        alone, left = (_number(apart) for apart in (cause.alone.apart, cause.left))
        rows.append([cause.default.name, alone, cause.alone.where, left])
    lines += align(rows, "lrlr", gap=2) if diagnosis.causes else []
    for cause in diagnosis.causes:
        lines += textwrap.wrap(
            f"{cause.default.name}: {cause.default.effect}; neutral: {cause.default.neutral}",
            WIDTH,
            subsequent_indent="  ",
        )
    rest = "" if diagnosis.explained else ": the cause is none of the known defaults"
    lines.append(f"with every default neutral {_number(diagnosis.unexplained.apart)} is left{rest}")
    return "\n".join(lines)


def _number(apart: float) -> str:
    return f"{apart:.1e}" if apart < float("inf") else "unequal"


def _named(diagnosis: Any) -> str:
    names = ", ".join(cause.default.name for cause in diagnosis.causes)
    return f"explained by {names}" if names else "no known default explains it"


def row_lines(rows: Iterable[Any]) -> str:
    """One line for each row: number, name, topic, and whether it can be switched on."""
    table = [["#", "name", "topic", "neutral form", ""]]
    for row in rows:
        table.append([str(row.number), row.name, row.topic, row.neutral, row.why_not and "documented only"])
    return "\n".join(align(table, "rllll", gap=2))


def ladder_table(rungs: Sequence[Any], reference: str, suspect: str, tolerance: float) -> str:
    """Rows of what is neutral, and the largest difference of losses and of weights; then a sentence."""
    rows = [["neutral", "losses apart", "weights apart"]]
    rows += [[rung.label, f"{rung.losses:.1e}", f"{rung.weights:.1e}"] for rung in rungs]
    top = [rung for rung in rungs if not rung.left_out][-1]
    word = "equal" if top.losses <= tolerance else "not equal"
    steps = len(top.apart)
    pair = f"with every correction {suspect} and {reference} are {word}"
    lines = [*align(rows, "lrr", gap=2), f"{pair}: losses {top.losses:.1e} apart over {steps} steps"]
    return "\n".join(lines)


def student_lines(verdict: Any) -> str:
    """The verdict's sentence, and what to mend where that is known."""
    lines = [verdict.sentence]
    if verdict.guess is not None:
        lines.append(f"to mend: {verdict.guess.mend}")
    elif not verdict.equal and verdict.reference == "the reference":
        lines.append("no known mistake makes them equal; begin with the quantity named above")
    return "\n".join(lines)


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
