"""Turns the options of a command into one frozen value, its request.

A base class names the options that several commands share; the request of a command inherits from it::

    @dataclass(frozen=True, kw_only=True)
    class ScoreRequest(ModelOptions):
        \"""The options of `minilm score`. Attributes: top: How many candidates each record keeps.\"""
        top: int

    @click.command()
    @model_options
    @click.option("--top", default=5)
    @takes(ScoreRequest)
    def command(request: ScoreRequest) -> None: ...

The options have the names of the fields; a test compares them. Defaults belong to click alone, so
`--help` shows them. `kw_only` lets a base class and a class that inherits from it order their fields freely.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

__all__ = ["takes"]

Request = TypeVar("Request")


def takes(build: Callable[..., Request]) -> Callable[[Callable[[Request], None]], Callable[..., None]]:
    """Let a command function take one request instead of one argument per option.

    Write it directly above the function, below all the options.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Greeting:
    ...     name: str
    ...     times: int
    >>> @takes(Greeting)
    ... def greet(request: Greeting) -> None:
    ...     print(*["hello", request.name] * request.times)
    >>> greet(name="fox", times=2)
    hello fox hello fox

    Args:
        build: The class of the request, a dataclass whose fields have the names of the options.

    Returns:
        A decorator. What it makes of a function takes the options as keyword arguments, as click gives them.
    """

    def decorate(function: Callable[[Request], None]) -> Callable[..., None]:
        @wraps(function)
        def run(**options: object) -> None:
            function(build(**options))

        return run

    return decorate
