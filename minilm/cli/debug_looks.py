"""The commands of `minilm debug generate` that look at a run: watch, break, print, save, open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from minilm.cli.debug_desk import Desk, text_of
from minilm.cli.debug_loop import Action, meanings, say, whole_number
from minilm.cli.fields import field_at, shown
from minilm.errors import MinilmError
from minilm.faces.visible import quoted
from minilm.generation import TraceWriter, read_trace
from minilm.generation.breakpoints import FUNCTIONS, NAMES, watch_list
from minilm.records import Step

__all__ = ["LOOKS"]

_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S)+""")  # quotes keep spaces together


def _watch(desk: Desk, argument: str) -> Desk:
    cursor = desk.session.here.cursor
    ids = list(cursor.settings.watch)
    for word in _WORD.findall(argument):
        ids += [whole_number(word)] if word.isdecimal() else watch_list(cursor.codec, [text_of(word)])
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
    desk = replace(desk, session=desk.session.opened(trace))
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
    Action(("watch",), "[WORD | ID ...]", "follow tokens through every stage; list them", _watch),
    Action(("unwatch",), "", "follow none", _unwatch),
    Action(("break",), "[CONDITION]", "pause where this holds; list the breakpoints", _break, _CONDITIONS),
    Action(("delete",), "N", "remove a breakpoint", _delete),
    Action(("print", "p"), "PATH", "such as margin, decision.chosen.p_final, embedding.vector", _print),
    Action(("show",), "brief | full", "how much of a step is shown", _show),
    Action(("trace",), "FILE", "save the steps of this branch", _trace),
    Action(("open",), "TRACE", "a saved run as a new branch, ready to go on", _open),
)
