"""The lines before the first step of a run (prompt, stages, seed) and after its last (ending, ids, text)."""

from __future__ import annotations

from collections.abc import Sequence

from minilm.faces.layout import WIDTH, clip, wrap_line
from minilm.faces.text.brief import FINISHES
from minilm.faces.visible import piece, visible

__all__ = ["footer", "header"]


def header(
    ids: Sequence[int],
    pieces: Sequence[str],
    stages: Sequence[object],
    seed: int,
    *,
    raws: Sequence[bytes] | None = None,
    model: str | None = None,
) -> str:
    """Return the lines before the first step of a run.

    Args:
        ids: the whole prompt, (T,).
        pieces: the text of each id, (T,).
        stages: the stages, or their labels.
        seed: the seed of the draws.
        raws: the bytes of each id, (T,), where known.
        model: the name of the model; None does not show it.
    """
    lines = [] if model is None else wrap_line(f"model   {visible(model, keep='')}", WIDTH, " " * 8)
    bytes_of = [None] * len(ids) if raws is None else raws
    triples = zip(ids, pieces, bytes_of, strict=True)
    shown = [f"{clip(piece(text, raw), 32)} {token_id}" for token_id, text, raw in triples]
    lines += wrap_line(f"prompt  {_count_tokens(len(ids))}: " + " · ".join(shown), WIDTH, " " * 8)
    lines += wrap_line(f"stages  {_join_labels(stages)}", WIDTH, " " * 8)
    lines += [f"seed    {seed}"]
    return "\n".join(lines)


def _join_labels(stages: Sequence[object]) -> str:
    labels = [stage if isinstance(stage, str) else repr(stage) for stage in stages]
    return (
        " → ".join(visible(label, keep="") for label in labels)
        or "none: drawn from the model's own probabilities"
    )


def footer(finish: str | None, ids: Sequence[int], text: str) -> str:
    """Return the lines after the last step of a run.

    Args:
        finish: the finish reason of the last Step; None for a run that was stopped before its end.
        ids: the generated ids, (T,).
        text: the generated text; its newlines are kept.
    """
    reason = "stopped before an end" if finish is None else FINISHES.get(finish, visible(finish, keep=""))
    lines = [f"ended   {reason}, after {_count_tokens(len(ids))}"]
    lines += wrap_line("ids     " + " ".join(str(token_id) for token_id in ids), WIDTH, " " * 8)
    for place, line in enumerate(visible(text, keep="\n").split("\n")):
        lines += wrap_line(("        " if place else "text    ") + line, WIDTH, " " * 8)
    return "\n".join(line.rstrip() for line in lines)


def _count_tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"
