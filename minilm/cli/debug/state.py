"""What the commands of `minilm debug generate` work on, where one is, and how their arguments are read."""

from __future__ import annotations

from dataclasses import dataclass

from minilm.cli.debug.loop import say
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.visible import quoted
from minilm.generation import Session
from minilm.records import Step
from minilm.token_text import unquoted

__all__ = ["Desk", "last_step", "prompt_line", "show_last", "text_of"]

_TAIL = 24  # characters of the text that the prompt line shows


@dataclass(frozen=True)
class Desk:
    """What the commands work on: the session, and how much of a step is shown."""

    session: Session
    show: str = "brief"


def prompt_line(desk: Desk) -> str:
    """Where one is: branch, number of tokens, the end of the text."""
    here = desk.session.here
    whole = here.cursor.codec.decode(here.cursor.ids.tolist())
    end = f" {here.finish}" if here.finish else ""
    return f"({here.number}:{here.index}{end} {'…' if len(whole) > _TAIL else ''}{quoted(whole[-_TAIL:])}) "


def last_step(desk: Desk) -> Step:
    """The step that was taken last. Raises MinilmError before the first."""
    if desk.session.last is None:
        raise MinilmError("No step has been taken yet")
    return desk.session.last


def show_last(desk: Desk) -> None:
    """Show the step that was taken last."""
    say(text.render(last_step(desk), desk.show))


def text_of(argument: str) -> str:
    """A text as it was typed, or quoted, with Python's escapes, where its ends matter."""
    if not argument:
        raise MinilmError('A text is expected here, such as " the fox"')
    return unquoted(argument)
