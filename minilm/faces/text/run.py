"""The lines before the first step of a run and after its last: prompt, stages, seed; ending, ids, text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.faces.layout import WIDTH, clip, wrap
from minilm.faces.text.brief import FINISHES
from minilm.faces.visible import piece, visible

__all__ = ["footer", "header"]


def header(
    ids: Sequence[int],
    pieces: Sequence[str],
    stages: Sequence[Any],
    seed: int,
    *,
    raws: Sequence[bytes] | None = None,
    model: str | None = None,
) -> str:
    """What a run starts from, before its first step.

    ids and pieces (T,) of the whole prompt, raws (T,) their bytes where known; stages: labels, or stages
    whose repr is their label; model: its name, where it shall be shown.
    """
    lines = [] if model is None else wrap(f"model   {visible(model, keep='')}", WIDTH, " " * 8)
    bytes_of = [None] * len(ids) if raws is None else raws
    triples = zip(ids, pieces, bytes_of, strict=True)
    shown = [f"{clip(piece(text, raw), 32)} {token_id}" for token_id, text, raw in triples]
    lines += wrap(f"prompt  {_tokens(len(ids))}: " + " · ".join(shown), WIDTH, " " * 8)
    lines += wrap(f"stages  {_labels(stages)}", WIDTH, " " * 8)
    lines += [f"seed    {seed}"]
    return "\n".join(lines)


def _labels(stages: Sequence[Any]) -> str:
    labels = [stage if isinstance(stage, str) else repr(stage) for stage in stages]
    return (
        " → ".join(visible(label, keep="") for label in labels)
        or "none: drawn from the model's own probabilities"
    )


def footer(finish: str | None, ids: Sequence[int], text: str) -> str:
    """What a run ended with: the reason in words, the ids (T,) and the text, its newlines kept.

    finish: as in the last Step; None for a run that was left before its end.
    """
    reason = "stopped before an end" if finish is None else FINISHES.get(finish, visible(finish, keep=""))
    lines = [f"ended   {reason}, after {_tokens(len(ids))}"]
    lines += wrap("ids     " + " ".join(str(token_id) for token_id in ids), WIDTH, " " * 8)
    for place, line in enumerate(visible(text, keep="\n").split("\n")):
        lines += wrap(("        " if place else "text    ") + line, WIDTH, " " * 8)
    return "\n".join(line.rstrip() for line in lines)


def _tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"
