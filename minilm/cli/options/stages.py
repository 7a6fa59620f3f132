"""The options that name sampling stages: --stages, and the shorthands that stand for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from minilm.cli.options.text_files import text_of_file
from minilm.errors import MinilmError
from minilm.sampling import Greedy, Stage, Temperature, TopK, TopP, parse
from minilm.sampling.constraints.stage import Grammar, JsonSchema
from minilm.sampling.dialects import DIALECTS, PRESETS, arrange

__all__ = ["DEFAULT", "pipeline", "stage_options"]

DEFAULT = "Temperature(0.8) TopK(40)"
"""The stages where none are named."""


def stage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --stages, --preset, --dialect and the shorthands to a command."""
    options = [
        click.option(
            "--stages",
            metavar="TEXT",
            help=f"In any order, such as the default: {DEFAULT!r}; minilm stages lists them.",
        ),
        click.option("--temperature", type=float, help="Short for Temperature(t)."),
        click.option("--top-k", type=int, help="Short for TopK(k)."),
        click.option("--top-p", type=float, help="Short for TopP(p)."),
        click.option("--greedy", is_flag=True, help="Short for Greedy(): always the best token."),
        click.option(
            "--json-schema",
            metavar="FILE",
            help="Short for JsonSchema of a file, before all.",
        ),
        click.option("--grammar", metavar="FILE", help="Short for Grammar of a file, before all."),
        click.option("--preset", type=click.Choice(list(PRESETS)), help="Stages that go well together."),
        click.option(
            "--dialect", type=click.Choice(list(DIALECTS)), help="Put the stages in this library's order."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def pipeline(options: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The stages that the options of a command name. Raises MinilmError where they contradict."""
    short = _shorthands(options)
    given = [name for name in ("stages", "preset") if options[name] is not None]
    if short and given:
        raise MinilmError(
            f"Give either --{given[0]} or the shorthands, got both; name {short[0]!r} in --stages"
        )
    if len(given) == 2:
        raise MinilmError(f"Give either --stages or --preset {options['preset']}, got both")
    if options["preset"] is not None:
        stages = parse(PRESETS[options["preset"]])
    else:
        stages = tuple(short) or parse(DEFAULT if options["stages"] is None else options["stages"])
    stages = (*_constraints(options), *stages)
    return stages if options["dialect"] is None else arrange(stages, options["dialect"])


def _constraints(options: Mapping[str, Any]) -> Iterator[Stage]:
    """The constraints whose texts are in files: too long for a line, and JSON is no Python."""
    if options["json_schema"] is not None:
        try:
            yield JsonSchema(json.loads(text_of_file("--json-schema", options["json_schema"])))
        except (json.JSONDecodeError, RecursionError) as error:
            why = "nested too deep" if isinstance(error, RecursionError) else error
            raise MinilmError(f"--json-schema {options['json_schema']} is no JSON: {why}") from error
    if options["grammar"] is not None:
        yield Grammar(text_of_file("--grammar", options["grammar"]))


def _shorthands(options: Mapping[str, Any]) -> list[Stage]:
    short: list[Stage] = []
    if options["temperature"] is not None:
        short.append(Temperature(options["temperature"]))
    if options["top_k"] is not None:
        short.append(TopK(options["top_k"]))
    if options["top_p"] is not None:
        short.append(TopP(options["top_p"]))
    if options["greedy"]:
        short.append(Greedy())
    return short
