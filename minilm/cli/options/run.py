"""The options of a generation, which `minilm generate` and `minilm debug generate` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from minilm.builtin import PROMPT
from minilm.cli.options.model import ModelOptions, model_options
from minilm.cli.options.stages import StageOptions, stage_options
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.faces.visible import visible
from minilm.generation import Cursor
from minilm.generation.breakpoints import breakpoint_of
from minilm.protocols import TextCodec
from minilm.token_text import ids_of
from minilm.workflows.open import Opened, has_chat_template

__all__ = ["RunOptions", "run_options"]


@dataclass(frozen=True, kw_only=True)
class RunOptions(ModelOptions, StageOptions):
    """The options of a command that generates text.

    Attributes:
        prompt: The text to go on from.
        chat: Put the prompt through the model's chat template.
        seed: The seed of the dice.
        max_tokens: The most new tokens.
        stop: The texts that end the generation.
        watch: The words, or ids such as #7, that each step records.
        breaks: The conditions to stop at, as text.
        top: How many candidates each step records.
    """

    prompt: str
    chat: bool
    seed: int
    max_tokens: int
    stop: tuple[str, ...]
    watch: tuple[str, ...]
    breaks: tuple[str, ...]
    top: int

    def breakpoints(self) -> list[Condition]:
        """Parse the conditions of --break. Raises MinilmError that says what was not understood."""
        return [breakpoint_of(text) for text in self.breaks]

    def start(self, opened: Opened) -> Cursor:
        """Read the prompt and return the cursor after it.

        An instruct model without --chat is run as it is, and a line on standard error says so.
        """
        if "" in self.watch:
            raise MinilmError("--watch takes a word, got ''")
        if not self.chat and has_chat_template(opened.codec):
            click.echo(
                "An instruct model run without its chat template; --chat puts the prompt in it", err=True
            )
        return opened.start(
            self.prompt,
            self.build_stages(),
            self.seed,
            chat=self.chat,
            max_tokens=self.max_tokens,
            stop=self.stop,
            top=self.top,
            watch=[_id_of(word, opened.codec) for word in self.watch],
            breakpoints=self.breakpoints(),
        )


def _id_of(word: str, codec: TextCodec) -> int:
    """Return the id of a word to watch; where it is several tokens, a line on standard error says so."""
    meant = ids_of(word, codec)
    if meant.note:
        click.echo(visible(meant.note, keep=""), err=True)
    return meant.id


def run_options(max_tokens: int, meaning: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of RunOptions to a command.

    Args:
        max_tokens: The default of --max-tokens.
        meaning: The help text of --max-tokens.
    """
    options = [
        model_options,
        click.option(
            "--prompt", default=PROMPT, show_default=True, help="The text to go on from, read whole."
        ),
        click.option("--chat", is_flag=True, help="Put the prompt through the model's chat template."),
        stage_options,
        click.option("--seed", default=0, show_default=True, help="Seed of the dice."),
        click.option("--max-tokens", default=max_tokens, show_default=True, help=meaning),
        click.option(
            "--stop", multiple=True, metavar="TEXT", help="End when the text contains this; may be repeated."
        ),
        click.option(
            "--watch",
            multiple=True,
            metavar="WORD|#ID",
            help="Follow a token: a word, '...' for a word without its space, or an id; may be repeated.",
        ),
        click.option(
            "--break",
            "breaks",
            multiple=True,
            metavar="CONDITION",
            help="Stop where this holds, such as 'entropy > 3 and rank > 5'; may be repeated.",
        ),
        click.option("--top", default=10, show_default=True, help="How many candidates to record."),
    ]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add
