"""The options that name sampling stages: --stages, and its short forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from minilm.cli.options.text_files import text_of_file
from minilm.errors import MinilmError
from minilm.sampling import Greedy, Stage, Temperature, TopK, TopP, parse
from minilm.sampling.constraints.stage import Grammar, JsonSchema
from minilm.sampling.dialects import DIALECTS, PRESETS, arrange

__all__ = ["DEFAULT", "StageOptions", "stage_options"]

DEFAULT = "Temperature(0.8) TopK(40)"
"""The stages of a command whose user names none."""


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """The options of a command that samples tokens; each is None where the user does not give it.

    Attributes:
        stages: The stages as text, such as "Temperature(0.8) TopK(40)".
        preset: The name of stages that go well together.
        dialect: The library in whose order the stages are put.
        temperature: Short for Temperature(t).
        top_k: Short for TopK(k).
        top_p: Short for TopP(p).
        greedy: Short for Greedy().
        json_schema: A file for JsonSchema, which comes before all other stages.
        grammar: A file for Grammar, which comes before all other stages.
    """

    stages: str | None
    preset: str | None
    dialect: str | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    greedy: bool
    json_schema: str | None
    grammar: str | None

    def build_stages(self) -> tuple[Stage, ...]:
        """Return the stages that the options name. Raises MinilmError where two options contradict."""
        short = list(self._shorthands())
        given = [name for name in ("stages", "preset") if getattr(self, name) is not None]
        if short and given:
            raise MinilmError(
                f"Give either --{given[0]} or the short options, got both; name {short[0]!r} in --stages"
            )
        if len(given) == 2:
            raise MinilmError(f"Give either --stages or --preset {self.preset}, got both")
        if self.preset is not None:
            stages = parse(PRESETS[self.preset])
        else:
            stages = tuple(short) or parse(DEFAULT if self.stages is None else self.stages)
        stages = (*self._constraints(), *stages)
        return stages if self.dialect is None else arrange(stages, self.dialect)

    def _shorthands(self) -> Iterator[Stage]:
        if self.temperature is not None:
            yield Temperature(self.temperature)
        if self.top_k is not None:
            yield TopK(self.top_k)
        if self.top_p is not None:
            yield TopP(self.top_p)
        if self.greedy:
            yield Greedy()

    def _constraints(self) -> Iterator[Stage]:
        """Build the constraints whose text is in a file, because it is too long for a command line."""
        if self.json_schema is not None:
            try:
                yield JsonSchema(json.loads(text_of_file("--json-schema", self.json_schema)))
            except (json.JSONDecodeError, RecursionError) as error:
                why = "nested too deep" if isinstance(error, RecursionError) else error
                raise MinilmError(f"--json-schema {self.json_schema} is no JSON: {why}") from error
        if self.grammar is not None:
            yield Grammar(text_of_file("--grammar", self.grammar))


def stage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of StageOptions to a command."""
    options = [
        click.option(
            "--stages",
            metavar="TEXT",
            help=f"In any order, such as the default: {DEFAULT!r}; minilm stages lists them.",
        ),
        click.option("--temperature", type=float, help="Short for Temperature(t)."),
        click.option("--top-k", type=int, help="Short for TopK(k)."),
        click.option("--top-p", type=float, help="Short for TopP(p)."),
        click.option("--greedy", is_flag=True, help="Short for Greedy(): always take the likeliest token."),
        click.option(
            "--json-schema",
            metavar="FILE",
            help="Short for JsonSchema with the schema in a file; comes first.",
        ),
        click.option(
            "--grammar", metavar="FILE", help="Short for Grammar with the grammar in a file; comes first."
        ),
        click.option("--preset", type=click.Choice(list(PRESETS)), help="Stages that go well together."),
        click.option(
            "--dialect", type=click.Choice(list(DIALECTS)), help="Put the stages in this library's order."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
