"""The commands of `minilm debug generate` that show, watch and save a run."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from minilm.cli.debug.generate_navigate import GenerateState, last_step, parse_text
from minilm.cli.debug.loop import Action, list_meanings, parse_number, say
from minilm.cli.debug.values import field_at, shown
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap_line
from minilm.faces.trace import margin_lines
from minilm.faces.visible import piece, quoted
from minilm.generation import Cursor
from minilm.generation.breakpoints import FUNCTIONS, NAMES
from minilm.records import Array, Step
from minilm.sampling.constraints.stage import Constraint
from minilm.token_text import ids_of
from minilm.trace import read_trace
from minilm.trace.resume import resume_in
from minilm.trace.writer import new_trace

__all__ = ["INSPECT"]

# A word ends at a space, except inside quotes.
_WORD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\S)+""")

# How many tokens of a mask are listed, the likeliest first.
_SHOWN = 12


def _watch(state: GenerateState, argument: str) -> GenerateState:
    cursor = state.session.here.cursor
    ids = list(cursor.settings.watch)
    for word in _WORD.findall(argument):
        meant = ids_of(word, cursor.codec, numbers=True)
        if meant.note:
            say(meant.note)
        ids.append(meant.id)
    state = replace(state, session=state.session.with_watched(list(dict.fromkeys(ids))))
    watched = state.session.here.cursor.settings.watch
    say("watched: " + (" · ".join(f"{quoted(cursor.texts(i)[0])} {i}" for i in watched) or "nothing"))
    return state


def _unwatch(state: GenerateState, argument: str) -> GenerateState:
    return replace(state, session=state.session.with_watched([]))


def _break(state: GenerateState, argument: str) -> GenerateState:
    if argument:
        state = replace(state, session=state.session.with_breakpoint(argument))
    for number, one in enumerate(state.session.breakpoints, 1):
        say(f"{number}  {one.text}")
    return state


def _delete(state: GenerateState, argument: str) -> GenerateState:
    return replace(state, session=state.session.without_breakpoint(parse_number(argument)))


def _print(state: GenerateState, argument: str) -> None:
    cursor, step = state.session.here.cursor, state.session.last
    roots: dict[str, Any] = {"cursor": cursor, "reading": cursor.reading, "settings": cursor.settings}
    if step is not None:
        roots |= {"step": step} | {name: getattr(step, name) for name in Step.__dataclass_fields__}
        roots |= {name: read(step) for name, (_, read) in NAMES.items() if name not in roots}
    if not argument:
        raise MinilmError(f"print takes a path that begins with one of {', '.join(roots)}")
    say(shown(roots[argument] if argument in roots else field_at(roots, argument), state.show))


def _show(state: GenerateState, argument: str) -> GenerateState:
    if argument not in ("brief", "full"):
        raise MinilmError(f"show takes brief or full, got {argument!r}")
    return replace(state, show=argument)


def _trace(state: GenerateState, argument: str) -> None:
    here, path = state.session.here, parse_text(argument)
    with new_trace(path, here.first()) as writer:
        for step in here.steps():
            writer.step(step)
    say(f"{here.index} steps of branch {here.number} in {path}")


def _open(state: GenerateState, argument: str) -> GenerateState:
    trace = read_trace(parse_text(argument))
    state = replace(state, session=resume_in(state.session, trace))
    here = state.session.here
    if (recorded := trace.start.get("model")) != here.cursor.model.name:
        say(f"recorded with {recorded}, read again here by {here.cursor.model.name}")
    say(f"branch {here.number}: {here.index} steps, {len(here.forced)} of them forced")
    return state


def _cursor_before_next(state: GenerateState) -> Cursor:
    """Return the cursor of the next decision. Raises MinilmError where the text has ended."""
    if state.session.here.finish:
        raise MinilmError(f"The text has ended ({state.session.here.finish}); nothing follows")
    return state.session.here.cursor


def _candidates(state: GenerateState, argument: str) -> None:
    say(text.render(_cursor_before_next(state).peek().decision, state.show))


def _margins(state: GenerateState, argument: str) -> None:
    if last_step(state).decision.forced:
        raise MinilmError("The last token was forced: no draw chose it, so it has no margins")
    cursor = state.session.here.back(1).cursor
    say(margin_lines(cursor.margins(), cursor.texts))


def _allowed(state: GenerateState, argument: str) -> None:
    cursor = _cursor_before_next(state)
    stages = [stage for stage in cursor.settings.stages if isinstance(stage, Constraint)]
    if not stages:
        raise MinilmError("No stage is a constraint; the command stages shows the stages, and changes them")
    for stage in stages:
        fits, canonical = (stage.allowed(cursor.context, kind) for kind in (False, True))
        say(f"{stage.label}: {stage.note(cursor.context)}")
        for name, mask in (("canonical", canonical), ("fits only", fits & ~canonical)):
            for line in wrap_line(f" {name}  {_tokens(cursor, mask)}", WIDTH, " " * 12):
                say(line)


def _tokens(cursor: Cursor, mask: Array) -> str:
    """List the tokens of a mask (V,), the likeliest for the model first."""
    ids = np.flatnonzero(mask)
    logits = cursor.reading.logits[-1]
    best = ids[np.argsort(-logits[ids], kind="stable")][:_SHOWN].tolist()
    more = f" and {ids.size - len(best):,} more" if ids.size > len(best) else ""
    return (" · ".join(f"{piece(*cursor.texts(i))} {i}" for i in best) or "none") + more


_CONDITIONS = list_meanings(
    "such as entropy > 3 and rank > 5, not text ~ '\\n', repeats(3); it may speak of:",
    {name: meaning for name, (meaning, _) in NAMES.items()}
    | dict(said.split(": ", 1) for said in FUNCTIONS.values()),
)

INSPECT = (
    Action(("candidates", "peek"), "", "the next decision, without taking it", _candidates),
    Action(("allowed",), "", "the tokens that a constraint allows, by bytes and canonical", _allowed),
    Action(("margins",), "", "the smallest changes that would have taken another token", _margins),
    Action(("watch",), "[WORD | #ID ...]", "follow tokens through every stage; list them", _watch),
    Action(("unwatch",), "", "follow none", _unwatch),
    Action(("break",), "[CONDITION]", "pause where this holds; list the breakpoints", _break, _CONDITIONS),
    Action(("delete",), "N", "remove a breakpoint", _delete),
    Action(("print", "p"), "PATH", "such as margin, decision.chosen.p_final, embedding.vector", _print),
    Action(("show",), "brief | full", "how much of a step is shown", _show),
    Action(("trace",), "FILE", "save the steps of this branch", _trace),
    Action(("open",), "TRACE", "a saved run as a new branch, ready to go on", _open),
)
