"""The commands of `minilm debug generate` that look at a decision: the next, its constraints, margins."""

from __future__ import annotations

import numpy as np

from minilm.cli.debug_desk import Desk, last_step
from minilm.cli.debug_loop import Action, say
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap
from minilm.faces.trace_lines import margin_lines
from minilm.faces.visible import piece
from minilm.generation import Cursor
from minilm.records import Array
from minilm.sampling.constraint import Constraint

__all__ = ["DECISIONS"]

_SHOWN = 12  # tokens of a mask, the likeliest for the model


def _next(desk: Desk) -> Cursor:
    """Where the next decision will be made. Raises MinilmError where the text has ended."""
    if desk.session.here.finish:
        raise MinilmError(f"The text has ended ({desk.session.here.finish}); nothing follows")
    return desk.session.here.cursor


def _candidates(desk: Desk, argument: str) -> Desk:
    say(text.render(_next(desk).peek().decision, desk.show))
    return desk


def _margins(desk: Desk, argument: str) -> Desk:
    if last_step(desk).decision.forced:
        raise MinilmError("The last token was forced: no draw took it, so none was near another")
    cursor = desk.session.here.back(1).cursor
    say(margin_lines(cursor.margins(), cursor.texts))
    return desk


def _allowed(desk: Desk, argument: str) -> Desk:
    cursor = _next(desk)
    stages = [stage for stage in cursor.settings.stages if isinstance(stage, Constraint)]
    if not stages:
        raise MinilmError("No stage is a constraint; stages shows what there is, and changes it")
    for stage in stages:
        fits, canonical = (stage.allowed(cursor.context, kind) for kind in (False, True))
        say(f"{stage.label}: {stage.note(cursor.context)}")
        for name, mask in (("canonical", canonical), ("fits only", fits & ~canonical)):
            for line in wrap(f" {name}  {_tokens(cursor, mask)}", WIDTH, " " * 12):
                say(line)
    return desk


def _tokens(cursor: Cursor, mask: Array) -> str:
    """The tokens of a mask (V,), the likeliest for the model first."""
    ids = np.flatnonzero(mask)
    logits = cursor.reading.logits[-1]
    best = ids[np.argsort(-logits[ids], kind="stable")][:_SHOWN].tolist()
    more = f" and {ids.size - len(best):,} more" if ids.size > len(best) else ""
    return (" · ".join(f"{piece(*cursor.texts(i))} {i}" for i in best) or "none") + more


DECISIONS = (
    Action(("candidates", "peek"), "", "the next decision, without taking it", _candidates),
    Action(("allowed",), "", "the tokens that a constraint allows, by bytes and canonical", _allowed),
    Action(("margins",), "", "the smallest changes that would have taken another token", _margins),
)
