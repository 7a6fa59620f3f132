"""Reads commands, one a line, from a terminal or a script, and obeys them; help is made from their table.

What the commands work on is a value: each gives another one. It knows neither models nor sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.cli.options.text_files import text_of_file
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.layout import WIDTH, align, clip
from minilm.faces.visible import visible

__all__ = ["Action", "Reader", "converse", "count_of", "meanings", "say", "scripted", "typed", "whole_number"]

Reader = Callable[[str], str]
"""Shows a prompt and gives the next line; raises EOFError at the end."""


@dataclass(frozen=True, slots=True)
class Action:
    """A command: its names, the usage of its argument, what it does, and the function that does it.

    more: what help says of this command alone, beneath its line.
    """

    names: tuple[str, ...]
    usage: str
    does: str
    run: Callable[[Any, str], Any]
    more: str = ""


def converse(actions: Sequence[Action], state: Any, prompt: Callable[[Any], str], read: Reader) -> Any:
    """Obey line after line until quit or the end; returns the last state.

    A command that is refused is one line, and the state stays as it was.
    """
    by_name = {name: action for action in actions for name in action.names}
    while True:
        try:
            name, _, argument = read(prompt(state)).strip().partition(" ")
        except EOFError:
            return state
        except KeyboardInterrupt:
            say("(quit ends)")
            continue
        if name in ("quit", "q", "exit"):
            return state
        if name in ("help", "h", "?"):
            _help(actions, argument.strip())
        elif name and not name.startswith("#"):
            state = _obeyed(by_name, name, argument.strip(), state)


def _obeyed(by_name: dict[str, Action], name: str, argument: str, state: Any) -> Any:
    if name not in by_name:
        say(f"No command is called {name}; help lists them")
        return state
    try:
        return by_name[name].run(state, argument)
    except KeyboardInterrupt:
        say("interrupted; nothing has changed")
    except ValueError as error:
        from tokenizer import TokenizerError  # loaded here, where all went wrong, so that --help is quick

        if not isinstance(error, MinilmError | TokenizerError):
            raise  # a fault of ours
        say(f"refused: {error}")
    return state


def _help(actions: Sequence[Action], name: str) -> None:
    shown = [action for action in actions if not name or name in action.names]
    if not shown:
        say(f"No command is called {name}; help lists them")
        return
    rows = [["  " + ", ".join(a.names), a.usage, a.does] for a in shown]
    if not name:
        rows += [["  help, h, ?", "[COMMAND]", "this table, or all of one"], ["  quit, q, exit", "", "end"]]
    said = [clip(row, WIDTH) for row in align(rows, "lll", gap=2)]
    say("\n".join([*said, *(action.more for action in shown if name and action.more)]))


def meanings(title: str, names: Mapping[str, str]) -> str:
    """What names mean, a line each, beneath a title.

    >>> print(meanings("it may speak of:", {"loss": "nats per token", "u": "the draw"}))
      it may speak of:
        loss  nats per token
        u     the draw
    """
    rows = align([[f"    {name}", meaning] for name, meaning in names.items()], "ll", gap=2)
    return "\n".join([f"  {title}", *(clip(row, WIDTH) for row in rows)])


def count_of(argument: str) -> int:
    """How many: the number, or 1 where none is given."""
    return whole_number(argument) if argument else 1


def whole_number(argument: str) -> int:
    """The number. Raises MinilmError for anything else."""
    if not argument.isdecimal() or len(argument) > 9:
        raise MinilmError(f"A whole number is expected here, got {clip(argument, 40)!r}")
    return int(argument)


def say(text: str, end: str = "\n") -> None:
    """Show a text on standard output; nothing of it reaches the terminal raw."""
    console.write(visible(text, keep="\n\t"), sys.stdout, end=end)
    sys.stdout.flush()


def typed(prompt: str) -> str:
    """The next line from a person, with a history where the terminal has one; else from a pipe, echoed."""
    if not sys.stdin.isatty():
        return _echoed(prompt, sys.stdin.readline())
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (importing it gives input() a history; Windows has none)
    return input(prompt)


def scripted(path: str | Path) -> Reader:
    """The lines of a file, each shown after its prompt. Raises MinilmError where it cannot be read."""
    lines = iter(text_of_file("The script", path).splitlines(keepends=True))
    return lambda prompt: _echoed(prompt, next(lines, ""))


def _echoed(prompt: str, line: str) -> str:
    if not line:
        say("")
        raise EOFError
    say(f"{prompt}{line.rstrip()}")
    return line
