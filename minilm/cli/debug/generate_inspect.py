"""The commands of `minilm debug generate` that look at a run: watch, break, print, save, open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minilm.cli.debug.loop import Action, meanings, say, whole_number
from minilm.cli.debug.state import Desk, last_step, text_of
from minilm.cli.debug.values import field_at, shown
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap
from minilm.faces.trace import margin_lines
from minilm.faces.visible import piece, quoted
from minilm.generation import Cursor
from minilm.generation.breakpoints import FUNCTIONS, NAMES
from minilm.records import Array, Step
from minilm.sampling.constraints.stage import Constraint
from minilm.token_text import ids_of
from minilm.trace import TraceWriter, read_trace
from minilm.trace.resume import resume_in

__all__ = ["DECISIONS", "LOOKS"]

_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S)+""")  # quotes keep spaces together


def _watch(desk: Desk, argument: str) -> Desk:
    cursor = desk.session.here.cursor
    ids = list(cursor.settings.watch)
    for word in _WORD.findall(argument):
        meant = ids_of(word, cursor.codec, numbers=True)
        if meant.note:
            say(meant.note)
        ids.append(meant.id)
    desk = replace(desk, session=desk.session.watching(list(dict.fromkeys(ids))))
    watched = desk.session.here.cursor.settings.watch
    say("watched: " + (" · ".join(f"{quoted(cursor.texts(i)[0])} {i}" for i in watched) or "nothing"))
    return desk


def _unwatch(desk: Desk, argument: str) -> Desk:
    return replace(desk, session=desk.session.watching([]))


def _break(desk: Desk, argument: str) -> Desk:
    if argument:
        desk = replace(desk, session=desk.session.with_breakpoint(argument))
    for number, one in enumerate(desk.session.breakpoints, 1):
        say(f"{number}  {one.text}")
    return desk


def _delete(desk: Desk, argument: str) -> Desk:
    return replace(desk, session=desk.session.without_breakpoint(whole_number(argument)))


def _print(desk: Desk, argument: str) -> Desk:
    cursor, step = desk.session.here.cursor, desk.session.last
    roots: dict[str, Any] = {"cursor": cursor, "reading": cursor.reading, "settings": cursor.settings}
    if step is not None:
        roots |= {"step": step} | {name: getattr(step, name) for name in Step.__dataclass_fields__}
        roots |= {name: read(step) for name, (_, read) in NAMES.items() if name not in roots}
    if not argument:
        raise MinilmError(f"print takes a path that begins with one of {', '.join(roots)}")
    say(shown(roots[argument] if argument in roots else field_at(roots, argument), desk.show))
    return desk


def _show(desk: Desk, argument: str) -> Desk:
    if argument not in ("brief", "full"):
        raise MinilmError(f"show takes brief or full, got {argument!r}")
    return replace(desk, show=argument)


def _trace(desk: Desk, argument: str) -> Desk:
    here, path = desk.session.here, Path(text_of(argument))
    try:
        with (
            path.open("x", encoding="utf-8", newline="\n") as file,
            TraceWriter(file, here.first()) as writer,
        ):
            for step in here.steps():
                writer.step(step)
    except OSError as error:
        raise MinilmError(f"The trace {path} cannot be written: {error.strerror}") from error
    say(f"{here.index} steps of branch {here.number} in {path}")
    return desk


def _open(desk: Desk, argument: str) -> Desk:
    trace = read_trace(text_of(argument))
    desk = replace(desk, session=resume_in(desk.session, trace))
    here = desk.session.here
    if (recorded := trace.start.get("model")) != here.cursor.model.name:
        say(f"recorded with {recorded}, read again here by {here.cursor.model.name}")
    say(f"branch {here.number}: {here.index} steps, {len(here.forced)} of them forced")
    return desk


_CONDITIONS = meanings(
    "such as entropy > 3 and rank > 5, not text ~ '\\n', repeats(3); it may speak of:",
    {name: meaning for name, (meaning, _) in NAMES.items()}
    | dict(said.split(": ", 1) for said in FUNCTIONS.values()),
)

LOOKS = (
    Action(("watch",), "[WORD | #ID ...]", "follow tokens through every stage; list them", _watch),
    Action(("unwatch",), "", "follow none", _unwatch),
    Action(("break",), "[CONDITION]", "pause where this holds; list the breakpoints", _break, _CONDITIONS),
    Action(("delete",), "N", "remove a breakpoint", _delete),
    Action(("print", "p"), "PATH", "such as margin, decision.chosen.p_final, embedding.vector", _print),
    Action(("show",), "brief | full", "how much of a step is shown", _show),
    Action(("trace",), "FILE", "save the steps of this branch", _trace),
    Action(("open",), "TRACE", "a saved run as a new branch, ready to go on", _open),
)

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
