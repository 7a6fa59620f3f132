"""How a generation is asked for: the options that generate and debug share, and the cursor that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from minilm.builtin import PROMPT
from minilm.cli.options.model import model_options
from minilm.cli.options.stages import pipeline, stage_options
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.faces.visible import visible
from minilm.generation import Cursor, start
from minilm.generation.breakpoints import breakpoint_of
from minilm.protocols import TextCodec
from minilm.token_text import ids_of
from minilm.workflows.open import Opened

__all__ = ["conditions", "first_cursor", "run_options"]


def run_options(max_tokens: int, meaning: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds the options of the model, the prompt, the stages and the run.

    max_tokens: the default; meaning: what --max-tokens says of itself.
    """
    options = [
        click.option(
            "--prompt", default=PROMPT, show_default=True, help="The text to go on from, read whole."
        ),
        click.option("--chat", is_flag=True, help="Put the prompt through the model's chat template."),
        stage_options,
        click.option("--seed", default=0, show_default=True, help="Seed of the dice."),
        click.option("--max-tokens", default=max_tokens, show_default=True, help=meaning),
        click.option(
            "--stop", multiple=True, metavar="TEXT", help="End once the text holds this; may be repeated."
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
        return model_options(command)

    return add


def conditions(options: Mapping[str, Any]) -> list[Condition]:
    """What --break says. Raises MinilmError for what it does not understand."""
    return [breakpoint_of(text) for text in options["breaks"]]


def first_cursor(opened: Opened, options: Mapping[str, Any]) -> Cursor:
    """The cursor after the prompt; with --break, the end of the text is watched, so that p_eos is known.

    An instruct model that is not asked as a chat is told of on standard error.
    """
    if "" in options["watch"]:
        raise MinilmError("--watch takes a word, got ''")
    watch = [_meant(word, opened.codec) for word in options["watch"]]
    ending = opened.eos_ids if options["breaks"] else ()
    return start(
        opened.model,
        opened.codec,
        _prompt(opened, options["prompt"], options["chat"]),
        pipeline(options),
        options["seed"],
        max_tokens=options["max_tokens"],
        stop=options["stop"],
        top=options["top"],
        watch=list(dict.fromkeys((*watch, *ending))),
        eos_ids=opened.eos_ids,
    )


def _meant(word: str, codec: TextCodec) -> int:
    """Return the id of a word to watch; say on standard error where the word has more tokens than one."""
    meant = ids_of(word, codec)
    if meant.note:
        click.echo(visible(meant.note, keep=""), err=True)
    return meant.id


def _prompt(opened: Opened, prompt: str, chat: bool) -> str | list[int]:
    if not chat:
        if _is_instruct(opened.codec):
            click.echo(
                "An instruct model run without its chat template; --chat puts the prompt in it", err=True
            )
        return prompt or opened.codec.encode("", special=True)
    ids = opened.codec.chat([{"role": "user", "content": prompt}])
    if ids is None:
        raise MinilmError("--chat needs a chat template, and this model's tokenizer has none; leave it out")
    return ids


def _is_instruct(codec: TextCodec) -> bool:
    """Whether its tokenizer has a chat template, even one that refuses a short question."""
    try:
        return codec.chat([{"role": "user", "content": "a"}]) is not None
    except ValueError:
        return True
