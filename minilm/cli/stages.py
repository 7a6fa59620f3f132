"""The options that name sampling stages: --stages, and the shorthands that stand for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from minilm.errors import MinilmError
from minilm.sampling import Greedy, Stage, Temperature, TopK, TopP, parse

__all__ = ["pipeline", "stage_options"]

DEFAULT = "Temperature(0.8) TopK(40)"


def stage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --stages, --temperature, --top-k, --top-p and --greedy to a command."""
    options = [
        click.option("--stages", metavar="TEXT", help=f"In any order, such as the default: {DEFAULT!r}."),
        click.option("--temperature", type=float, help="Short for Temperature(t)."),
        click.option("--top-k", type=int, help="Short for TopK(k)."),
        click.option("--top-p", type=float, help="Short for TopP(p)."),
        click.option("--greedy", is_flag=True, help="Short for Greedy(): always the best token."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def pipeline(options: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages that the options of a command name. Raises MinilmError where they contradict."""
    short: list[Stage] = []
    if options["temperature"] is not None:
        short.append(Temperature(options["temperature"]))
    if options["top_k"] is not None:
        short.append(TopK(options["top_k"]))
    if options["top_p"] is not None:
        short.append(TopP(options["top_p"]))
    if options["greedy"]:
        short.append(Greedy())
    if options["stages"] is not None and short:
        raise MinilmError(f"Give either --stages or the shorthands, got both; add {short[0]!r} to --stages")
    if options["stages"] is not None:
        return parse(options["stages"])
    return tuple(short) or parse(DEFAULT)
