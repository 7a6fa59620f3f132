"""The loop of both debuggers: read a command, run it, show the result.

Help is made from the table of commands. A command takes a state and gives another, so old states stay usable.
The loop knows neither models nor sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from minilm.cli.options.text_files import text_of_file
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.layout import WIDTH, align, clip
from minilm.faces.visible import visible
from minilm.workflows.codec import tokenizer_errors

__all__ = [
    "Action",
    "Reader",
    "list_meanings",
    "parse_count",
    "parse_number",
    "read_script",
    "read_terminal",
    "run_commands",
    "say",
]

Reader = Callable[[str], str]
"""Shows the text before a command and returns the next line; raises EOFError at the end."""

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Action(Generic[State]):
    """A command of a debugger.

    Attributes:
        names: Its name, then its short names.
        usage: How its argument is written.
        does: What it does, in one line of help.
        run: The function that does it: it takes state and argument, and returns the new state, or None
            where the state stays.
        details: What `help NAME` shows beneath the line.
    """

    names: tuple[str, ...]
    usage: str
    does: str
    run: Callable[[State, str], State | None]
    details: str = ""


def run_commands(
    actions: Sequence[Action[State]], state: State, prompt: Callable[[State], str], read: Reader
) -> State:
    """Run command after command until quit or the end, and return the last state.

    A command that fails prints one line, and the state stays as it was.

    Args:
        actions: The commands.
        state: The first state.
        prompt: Returns the text before a command, which says where the user is.
        read: Where the commands come from, `read_terminal` or `read_script(path)`.
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
        elif name in by_name:
            state = _run(by_name[name], argument.strip(), state)
        elif name and not name.startswith("#"):
            say(f"No command is called {name}; help lists them")


def _run(action: Action[State], argument: str, state: State) -> State:
    try:
        with tokenizer_errors():
            after = action.run(state, argument)
        return state if after is None else after
    except KeyboardInterrupt:
        say("interrupted; nothing has changed")
    except MinilmError as error:
        say(f"refused: {error}")
    return state


def _help(actions: Sequence[Action[State]], name: str) -> None:
    shown = [action for action in actions if not name or name in action.names]
    if not shown:
        say(f"No command is called {name}; help lists them")
        return
    rows = [["  " + ", ".join(a.names), a.usage, a.does] for a in shown]
    if not name:
        rows += [["  help, h, ?", "[COMMAND]", "this table, or all about one command"]]
        rows += [["  quit, q, exit", "", "end"]]
    lines = [clip(row, WIDTH) for row in align(rows, "lll", gap=2)]
    say("\n".join([*lines, *(action.details for action in shown if name and action.details)]))


def list_meanings(title: str, names: Mapping[str, str]) -> str:
    """Return a title and beneath it one line for every name with its meaning.

    >>> print(list_meanings("it may speak of:", {"loss": "nats per token", "u": "the draw"}))
      it may speak of:
        loss  nats per token
        u     the draw
    """
    rows = align([[f"    {name}", meaning] for name, meaning in names.items()], "ll", gap=2)
    return "\n".join([f"  {title}", *(clip(row, WIDTH) for row in rows)])


def parse_count(argument: str) -> int:
    """Return the number that was typed, or 1 where nothing was typed."""
    return parse_number(argument) if argument else 1


def parse_number(argument: str) -> int:
    """Return the whole number that was typed. Raises MinilmError for anything else."""
    if not argument.isdecimal() or len(argument) > 9:
        raise MinilmError(f"A whole number is expected here, got {clip(argument, 40)!r}")
    return int(argument)


def say(text: str, end: str = "\n") -> None:
    """Print a text; control characters in it are shown, not obeyed."""
    console.write(visible(text, keep="\n\t"), sys.stdout, end=end)
    sys.stdout.flush()


def read_terminal(prompt: str) -> str:
    """Return the next line that a person types, with a history where the system has one.

    Lines from a pipe are echoed, so that the output shows what was asked.
    """
    if not sys.stdin.isatty():
        return _echo(prompt, sys.stdin.readline())
    import contextlib

    # Importing readline gives input() a history; Windows has none.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    return input(prompt)


def read_script(path: str | Path) -> Reader:
    """Return a reader of the lines of a file. Raises MinilmError where the file cannot be read."""
    lines = iter(text_of_file("The script", path).splitlines(keepends=True))
    return lambda prompt: _echo(prompt, next(lines, ""))


def _echo(prompt: str, line: str) -> str:
    if not line:
        say("")
        raise EOFError
    say(f"{prompt}{line.rstrip()}")
    return line
