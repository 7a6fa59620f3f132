"""Comparisons as tables and sentences; it renders the records of minilm.comparison and computes nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from minilm.faces.layout import WIDTH, align, clip, wrap_line
from minilm.faces.visible import quoted

if TYPE_CHECKING:
    from minilm.comparison import LockstepStep, LockstepVerdict, StudentVerdict, TextPair, Verdict
    from minilm.comparison.defaults import Default, Diagnosis
    from minilm.comparison.defaults.ladder import LadderStep

__all__ = [
    "comparison_table",
    "default_lines",
    "diagnosis_lines",
    "ladder_table",
    "lockstep_sentences",
    "lockstep_table",
    "student_lines",
]

TEXT_WIDTH = 60


def comparison_table(verdicts: Sequence[Verdict], texts: Sequence[TextPair] = ()) -> str:
    """Return a table of the largest difference in each stage, and a sentence for each backend.

    Args:
        verdicts: one for each backend.
        texts: the texts that the backends wrote.
    """
    rows = [["backend", "stage", "largest difference", "step", "where"]]
    for verdict in verdicts:
        for stage, place in verdict.worst.items():
            number = f"{place.difference.apart:.1e}"
            rows.append([verdict.backend, stage, number, str(place.step), place.difference.parameter])
        rows += [
            [text.backend, "text", *_text_cells(text)] for text in texts if text.backend == verdict.backend
        ]
    lines = [*align(rows, "llrrl", gap=2), ""]
    lines += [_verdict_sentence(verdict) for verdict in verdicts]
    if texts:
        lines.append(f"{texts[0].reference} wrote {clip(quoted(texts[0].reference_text), TEXT_WIDTH)}")
    if not all(verdict.equal for verdict in verdicts):
        lines.append("to tell rounding from a mistake, leave --tolerance out or try --dtype float64")
    return "\n".join(lines)


def _text_cells(text: TextPair) -> list[str]:
    if text.parts_at is None:
        return ["equal", "", f"{len(text.ids)} tokens"]
    return ["differs", "", f"at token {text.parts_at + 1} of {len(text.reference_ids)}"]


def _verdict_sentence(verdict: Verdict) -> str:
    steps = f"{verdict.steps} step{'' if verdict.steps == 1 else 's'}"
    if verdict.rounding:
        largest = verdict.largest.difference
        number = f"{largest.apart:.1e} in {largest.parameter or largest.stage}"
        pair = f"{verdict.backend} and {verdict.reference} over {steps}"
        return f"{pair}: equal up to float32 rounding; largest {number}"
    if verdict.equal:
        return f"{verdict.backend} equals {verdict.reference} over {steps} within {verdict.tolerance:g}"
    return f"{verdict.backend} first differs from {verdict.reference} at {verdict.first}"


def diagnosis_lines(diagnosis: Diagnosis) -> str:
    """Return a sentence, a table of the causes, and for each cause its effect and its neutral form.

    Args:
        diagnosis: the result of minilm.comparison.diagnose.
    """
    pair = f"{diagnosis.suspect} and {diagnosis.reference}"
    if diagnosis.equal and not diagnosis.causes:
        return f"{pair} are equal: {len(diagnosis.measured)} defaults were measured, none makes a difference"
    lines = [
        f"{pair} differ: {diagnosis.found}",
        *textwrap.wrap(_name_causes(diagnosis), WIDTH, subsequent_indent="  "),
    ]
    rows = [["cause", "alone", "where", "left when neutral"]]
    for cause in diagnosis.causes:
        alone, left = (_write_difference(number) for number in (cause.alone.apart, cause.left))
        rows.append([cause.default.name, alone, cause.alone.where, left])
    lines += align(rows, "lrlr", gap=2) if diagnosis.causes else []
    for cause in diagnosis.causes:
        text = f"{cause.default.name}: {cause.default.effect}; neutral: {cause.default.neutral}"
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="  ")
    rest = "" if diagnosis.explained else ": the cause is none of the known defaults"
    left = _write_difference(diagnosis.unexplained.apart)
    lines.append(f"with every default neutral, a difference of {left} is left{rest}")
    return "\n".join(lines)


def _write_difference(number: float) -> str:
    return f"{number:.1e}" if number < float("inf") else "unequal"


def _name_causes(diagnosis: Diagnosis) -> str:
    names = ", ".join(cause.default.name for cause in diagnosis.causes)
    return f"explained by {names}" if names else "no known default explains it"


def default_lines(defaults: Iterable[Default]) -> str:
    """Return one line for each default: number, name, topic, neutral form, and whether it is documented only.

    Args:
        defaults: entries of minilm.comparison.defaults.DEFAULTS.
    """
    rows = [["#", "name", "topic", "neutral form", ""]]
    for default in defaults:
        only = "documented only" if default.why_not else ""
        rows.append([str(default.number), default.name, default.topic, default.neutral, only])
    return "\n".join(align(rows, "rllll", gap=2))


def ladder_table(steps: Sequence[LadderStep], reference: str, suspect: str, tolerance: float) -> str:
    """Return a table of the differences that each correction leaves, and a sentence.

    Args:
        steps: the records of minilm.comparison.defaults.ladder.apply_corrections.
        reference: the name of the first framework.
        suspect: the name of the second framework.
        tolerance: the largest difference of losses that counts as equal.
    """
    rows = [["neutral", "difference of losses", "difference of weights"]]
    rows += [[step.label, f"{step.losses:.1e}", f"{step.weights:.1e}"] for step in steps]
    last = [step for step in steps if not step.left_out][-1]
    word = "equal" if last.losses <= tolerance else "not equal"
    pair = f"with every correction {suspect} and {reference} are {word}"
    sentence = f"{pair}: the losses differ by {last.losses:.1e} over {len(last.apart)} steps"
    return "\n".join([*align(rows, "lrr", gap=2), sentence])


def student_lines(verdict: StudentVerdict) -> str:
    """Return the verdict on a student's LSTM as a sentence, and how to fix it where that is known.

    Args:
        verdict: the result of minilm.comparison.compare_student.
    """
    lines = [verdict.sentence]
    if verdict.guess is not None:
        lines.append(f"to fix: {verdict.guess.mend}")
    elif not verdict.equal and verdict.reference == "the reference":
        lines.append("no known mistake makes them equal; begin with the quantity named above")
    if len(verdict.functions) > 1:
        lines.append(f"functions that were run: {', '.join(verdict.functions)}")
    lines += [f"not compared: {note}" for note in verdict.not_run]
    return "\n".join(lines)


def lockstep_table(steps: Sequence[LockstepStep]) -> str:
    """Return a row for each step: both choices, the difference of logits, KL, margin and movement.

    Args:
        steps: the records of minilm.comparison.run_lockstep.
    """
    rows = [["step", "first", "second", "logits differ", "KL", "margin", "ends moved"]]
    for step in steps:
        chosen = [f"{clip(quoted(text), 20)} {i}" for text, i in zip(step.texts, step.ids, strict=True)]
        second = "same" if step.agree else chosen[1]
        numbers = [f"{value:.1e}" for value in (step.apart, step.kl, step.margin, step.reach)]
        rows.append([str(step.index + 1), chosen[0], second, *numbers])
    return "\n".join(clip(row, WIDTH) for row in align(rows, "rllrrrr", gap=2))


def lockstep_sentences(verdict: LockstepVerdict) -> str:
    """Return how much two models differ, how often they agree, and why their texts differ.

    Args:
        verdict: the result of minilm.comparison.judge_lockstep.
    """
    one, other = verdict.names
    lines = wrap_line(
        f"{other} compared with {one}, {verdict.steps} steps: the same choice in {verdict.agreement:.1%}, "
        f"logits differ by at most {verdict.apart:.1e}, KL is at most {verdict.kl:.1e} nats and "
        f"{verdict.mean_kl:.1e} on average",
        WIDTH,
        "  ",
    )
    first = verdict.first
    if first is None:
        return "\n".join([*lines, "the texts are the same"])
    texts = [quoted(text) for text in first.texts]
    lines.append(f"the texts differ from token {first.index + 1} on: {texts[0]} and {texts[1]}")
    word = "explains" if verdict.explained else "does not explain"
    reason = (
        f"rounding {word} it: the logits differ by {first.apart:.1e}, the margin was {first.margin:.1e} and "
        f"the ends moved by {first.reach:.1e}"
    )
    return "\n".join([*lines, *wrap_line(reason, WIDTH, "  ")])
