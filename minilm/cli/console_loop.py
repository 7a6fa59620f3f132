"""A console of orders over a session that is a value: typed by a person, or read from a script.

An order takes the session and the rest of its line and returns the next session; what the orders are is the
command's affair. A mistake costs a person one line; a script ends with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Generic, TypeVar

from minilm.errors import MinilmError
from minilm.faces import text as text_face
from minilm.faces.layout import align

__all__ = ["Order", "console", "say"]

S = TypeVar("S")


@dataclass(frozen=True)
class Order(Generic[S]):
    """usage: its name and what follows ("jump N"); run: (session, rest of the line) -> session."""

    usage: str
    meaning: str
    run: Callable[[S, str], S]

    @property
    def name(self) -> str:
        """The word that it is called by."""
        return self.usage.split()[0]


def console(
    session: S, orders: Mapping[str, Order[S]], prompt: Callable[[S], str], script: str | None = None
) -> S:
    """Take orders until `quit`, the end of the script or of the input; returns the last session.

    script: a file of orders, one a line, # begins a comment line; "-" reads them from standard input. Orders
    may be shortened as long as they are clear. Raises MinilmError, naming the line, for a mistake in a script.
    """
    if script is None:
        with suppress(ImportError):  # arrow keys and history where the platform has them
            import_module("readline")
    for number, line in _lines(asked := [prompt(session)], script):
        if script is not None:
            say(f"{asked[0]}{line}")
        if line in ("quit", "exit"):
            return session
        try:
            session = _obey(session, orders, line)
        except MinilmError as error:
            if script is not None:
                raise MinilmError(f"{_named(script)} line {number}, {line!r}: {error}") from error
            text_face.write(f"mistake: {error}", sys.stderr)
        except KeyboardInterrupt:
            text_face.write("stopped; the session is where it was", sys.stderr)
        asked[0] = prompt(session)
    return session


def say(text: str) -> None:
    """A text on standard output, as far as the terminal can show it."""
    text_face.write(text, sys.stdout)
    sys.stdout.flush()


def _obey(session: S, orders: Mapping[str, Order[S]], line: str) -> S:
    word, _, rest = line.partition(" ")
    if word == "help":
        say(_help(orders))
        return session
    return _order(orders, word).run(session, rest.strip())


def _order(orders: Mapping[str, Order[S]], word: str) -> Order[S]:
    """The order of a word or of its beginning; where several begin alike, the first listed of one letter."""
    if word in orders:
        return orders[word]
    found = [name for name in orders if name.startswith(word)]
    if len(found) == 1 or (found and len(word) == 1):
        return orders[found[0]]
    if found:
        raise MinilmError(f"{word!r} may be {', '.join(found)}; write one more letter")
    raise MinilmError(f"There is no order {word!r}; known are {', '.join(orders)}, help and quit")


def _help(orders: Mapping[str, Order[S]]) -> str:
    rows = [[order.usage, order.meaning] for order in orders.values()]
    rows += [["help", "this list"], ["quit", "leave"]]
    return "\n".join(align(rows, "ll", 3))


def _lines(prompt: list[str], script: str | None) -> Iterator[tuple[int, str]]:
    """Numbered orders; prompt[0] is what a person is asked with."""
    if script is None:
        yield from _typed(prompt)
        return
    for number, line in enumerate(_script(script).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _typed(prompt: list[str]) -> Iterator[tuple[int, str]]:
    number = 0
    while True:
        number += 1
        try:
            line = input(prompt[0]).strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            continue
        if line:
            yield number, line


def _script(script: str) -> str:
    if script == "-":
        return sys.stdin.read()
    try:
        return Path(script).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MinilmError(f"Script {script} cannot be read: {error}") from None


def _named(script: str) -> str:
    return "Standard input" if script == "-" else script
