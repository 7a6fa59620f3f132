"""minilm inside: gates, memory, attention, logit lens, neighbours and units, as a table or a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from minilm import inside
from minilm.builtin import PROMPT
from minilm.cli.options.model import ModelOptions, model_options
from minilm.cli.options.picture import PictureFile
from minilm.cli.options.request import takes
from minilm.errors import MinilmError
from minilm.faces import inside as tables
from minilm.faces import text as text_face
from minilm.faces.visible import piece, visible
from minilm.protocols import Inspectable, LanguageModel
from minilm.records import Reading
from minilm.token_text import TokenTexts, ids_of
from minilm.trace.json import as_json, dumps
from minilm.workflows.open import Opened

if TYPE_CHECKING:
    from minilm.faces.plots import Picture

__all__ = ["InsideRequest", "LayerRequest", "LogitRequest", "NeighboursRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class InsideRequest(ModelOptions):
    """The options that every subcommand of `minilm inside` has.

    Attributes:
        prompt: The text that the model reads.
        plot: A .png or .svg file for a picture, or None.
        as_lines: Print JSON lines instead of a table.
    """

    prompt: str
    plot: str | None
    as_lines: bool

    def read_prompt(self) -> Prompt:
        """Open the model and encode the prompt."""
        opened = self.open()
        ids, texts = opened.codec.encode(self.prompt, special=True), TokenTexts(opened.codec)
        if not ids:
            raise MinilmError("The prompt is empty, so there is nothing to read; give a text")
        return Prompt(opened, ids, lambda token_id: piece(*texts(token_id)))

    def show(self, table: str, records: Sequence[object], draw: Callable[[ModuleType], Picture]) -> None:
        """Print the table, or the records as JSON lines, and save a picture where one is wanted.

        Args:
            table: The table.
            records: The records that the table shows.
            draw: Draws the picture, with the module faces.plots.inside.
        """
        if self.as_lines:
            for record in records:
                print(dumps(as_json(record)))
        else:
            text_face.write(table, sys.stdout)
        if self.plot is not None:
            # Only --plot needs matplotlib, which takes a second to load.
            from minilm.faces.plots import inside as pictures
            from minilm.faces.plots import save_picture

            click.echo(f"wrote {save_picture(draw(pictures), self.plot)}", err=True)


@dataclass(frozen=True, kw_only=True)
class LayerRequest(InsideRequest):
    """The options of `minilm inside gates` and `minilm inside attention`.

    Attributes:
        layer: The number of the layer, from 0.
    """

    layer: int

    def check_layer(self, model: LanguageModel, kind: str) -> None:
        """Raise MinilmError if the model has no such layer, or does not show this kind of array."""
        names = inside.find_layers(model, kind)
        count = sum(name.partition(".")[2].isdecimal() for name in names)
        if not 0 <= self.layer < count:
            raise MinilmError(f"Layers are numbered 0 to {count - 1}, got {self.layer}")


@dataclass(frozen=True, kw_only=True)
class LogitRequest(InsideRequest):
    """The options of `minilm inside memory` and `minilm inside units`, which split a logit.

    Attributes:
        token: The word or #id whose logit is split; None is the model's most likely token.
        rather_than: A word or #id whose logit is subtracted, or None.
    """

    token: str | None
    rather_than: str | None

    def find_targets(self, prompt: Prompt, reading: Reading) -> tuple[int, int | None, str]:
        """Return the id whose logit is split, the id that is subtracted, and both in words."""
        target, against = prompt.find_id(self.token), prompt.find_id(self.rather_than)
        target = int(reading.logits[-1].argmax()) if target is None else target
        of = f"logit of {prompt.write(target)}"
        return target, against, of if against is None else f"{of} less that of {prompt.write(against)}"


@dataclass(frozen=True, kw_only=True)
class NeighboursRequest(InsideRequest):
    """The options of `minilm inside neighbours`.

    Attributes:
        token: The word or #id whose neighbours are wanted; None is the last token of the prompt.
        count: How many neighbours to show.
    """

    token: str | None
    count: int


@dataclass(frozen=True)
class Prompt:
    """An open model and a prompt.

    Attributes:
        opened: The model and its tokenizer.
        ids: (T,) the ids of the prompt.
        write: Writes a token, given its id.
    """

    opened: Opened
    ids: list[int]
    write: Callable[[int], str]

    @property
    def names(self) -> list[str]:
        """The tokens of the prompt as they are written."""
        return [self.write(token_id) for token_id in self.ids]

    @property
    def model(self) -> Inspectable:
        """The model, which must show its embeddings and its head."""
        if not isinstance(self.opened.model, Inspectable):
            raise MinilmError(f"{self.opened.model.name} shows neither its embeddings nor its head")
        return self.opened.model

    def read(self, *kinds: str) -> Reading:
        """Read the prompt, with these inner arrays of every layer."""
        return inside.read_inner(self.opened.model, self.ids, *kinds)

    def find_id(self, word: str | None) -> int | None:
        """Return the id that a typed word means; None for no word."""
        if word is None:
            return None
        meant = ids_of(word, self.opened.codec)
        if meant.note:
            click.echo(visible(meant.note, keep=""), err=True)
        return meant.id


@click.group(
    epilog="Example: minilm inside gates --prompt 'Once upon a time'\n\n\b\n"
    "In Python: from minilm import inside; lm = minilm.open(); "
    "inside.read_inner(lm.model, lm.codec.encode('Once upon a time'), 'gates', 'cell')"
)
def command() -> None:
    """Look inside a model as it reads a prompt."""


Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _subcommand(
    name: str, example: str, kinds: str, call: str, *options: Decorator
) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator that adds a subcommand.

    Args:
        name: Its name.
        example: More options of the example in its help.
        kinds: The inner arrays that the library call in its help reads.
        call: That call, with a `reading`.
        options: Its own options, which come between the shared ones.
    """
    shared = [
        click.option("--prompt", default=PROMPT, show_default=True, help="The text that the model reads."),
        *options,
        click.option(
            "--plot", type=PictureFile(), metavar="FILE", help="Draw a picture into a .png or .svg file."
        ),
        click.option("--json", "as_lines", is_flag=True, help="Print records as JSON lines instead."),
    ]

    def decorate(function: Callable[..., None]) -> click.Command:
        for option in reversed(shared):
            function = option(function)
        epilog = (
            f"Example: minilm inside {name} --prompt 'Once upon a time'{example}\n\n\b\n"
            f"In Python: from minilm import inside; lm = minilm.open({_NAME if example == _HF else ''}); "
            "reading = inside.read_inner(lm.model, lm.codec.encode('Once upon a time'), "
            f"{kinds}); inside.{call}"
        )
        return command.command(name, epilog=epilog)(model_options(function))

    return decorate


_HF = " --model hf:PATH_OR_ID"
_NAME = "'hf:PATH_OR_ID'"
_LAYER = click.option("--layer", default=0, show_default=True, help="The number of the layer, from 0.")
_LOGIT = (
    click.option("--token", metavar="WORD|#ID", help="Split the logit of this token; by default the best."),
    click.option("--rather-than", metavar="WORD|#ID", help="Subtract the logit of this token."),
)
_NEIGHBOURS = (
    click.option("--token", metavar="WORD|#ID", help="Of this token; by default the prompt's last one."),
    click.option("--count", default=10, show_default=True, help="How many neighbours to show."),
)


@_subcommand("gates", "", "'gates', 'cell', 'hidden'", "measure_gates(reading, 0)", _LAYER)
@takes(LayerRequest)
def _gates(request: LayerRequest) -> None:
    """Show an LSTM's gates over the prompt, and its half-life.

    For each gate: its mean, and the share of units below 0.1 and above 0.9. Then the norms, and the half-life
    of a unit's memory in tokens.
    """
    prompt = request.read_prompt()
    request.check_layer(prompt.opened.model, "gates")
    found = inside.measure_gates(prompt.read("gates", "cell", "hidden"), request.layer)
    names = prompt.names
    request.show(tables.gates_table(found, names), [found], lambda face: face.plot_gates(found, names))


@_subcommand("memory", "", "'gates', 'cell'", "split_over_tokens(lm.model, reading, 5)", *_LOGIT)
@takes(LogitRequest)
def _memory(request: LogitRequest) -> None:
    """Split a logit exactly over the tokens that an LSTM remembers."""
    prompt = request.read_prompt()
    reading = prompt.read("gates", "cell")
    target, against, of = request.find_targets(prompt, reading)
    found = inside.split_over_tokens(prompt.model, reading, target, against)
    names = prompt.names
    table = tables.memory_table(found, names, of)
    request.show(table, [found], lambda face: face.plot_memory_split(found, names, of))


@_subcommand("attention", _HF, "'attention'", "measure_attention(reading, 0)", _LAYER)
@takes(LayerRequest)
def _attention(request: LayerRequest) -> None:
    """Show where the heads of a transformer look."""
    prompt = request.read_prompt()
    request.check_layer(prompt.opened.model, "attention")
    reading = prompt.read("attention")
    found = inside.measure_attention(reading, request.layer)
    names, difference = prompt.names, float(reading.inner["attention.logit_difference"])
    table = tables.attention_table(found, names, difference)
    request.show(table, found, lambda face: face.plot_attention(found, names))


@_subcommand("lens", _HF, "'logit_lens', 'hidden'", "apply_lens(reading)")
@takes(InsideRequest)
def _lens(request: InsideRequest) -> None:
    """Show the token that each layer of a transformer would predict.

    Also shows the norm of the layer's hidden state at the last token.
    """
    prompt = request.read_prompt()
    reading = prompt.read("logit_lens", "hidden")
    found = inside.apply_lens(reading)
    table = tables.lens_table(found, prompt.write, float(reading.inner["logit_lens.logit_difference"]))
    request.show(table, found, lambda face: face.plot_lens(found))


@_subcommand("neighbours", " --token there", "'hidden'", "find_neighbours(lm.model, 5)", *_NEIGHBOURS)
@takes(NeighboursRequest)
def _neighbours(request: NeighboursRequest) -> None:
    """Show the tokens with the nearest embeddings to a token's."""
    prompt = request.read_prompt()
    chosen = prompt.find_id(request.token)
    token_id = prompt.ids[-1] if chosen is None else chosen
    found = inside.find_neighbours(prompt.model, token_id, request.count)
    of, names = prompt.write(token_id), [prompt.write(neighbour.id) for neighbour in found]
    table = f"nearest to {of}\n\n{tables.neighbours_table(found, prompt.write)}"
    request.show(table, found, lambda face: face.plot_neighbours(found, names, of))


@_subcommand("units", "", "'hidden'", "split_over_units(lm.model, reading, 5)", *_LOGIT)
@takes(LogitRequest)
def _units(request: LogitRequest) -> None:
    """Split a logit, or the difference of two, over hidden units."""
    prompt = request.read_prompt()
    reading = prompt.read("hidden")
    target, against, of = request.find_targets(prompt, reading)
    found = inside.split_over_units(prompt.model, reading, target, against)
    request.show(tables.units_table(found, of), [found], lambda face: face.plot_units(found, of))
