"""minilm inside: gates, memory, attention, logit lens, neighbours and units, as a table or a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from minilm import inside
from minilm.builtin import PROMPT
from minilm.cli.inside_pictures import save_picture
from minilm.cli.options.model import model_options, open_model
from minilm.errors import MinilmError
from minilm.faces import inside as tables
from minilm.faces import text as text_face
from minilm.faces.visible import piece, visible
from minilm.protocols import Inspectable
from minilm.token_text import TokenTexts, ids_of
from minilm.trace.json import as_json, dumps
from minilm.workflows.open import Opened

__all__ = ["command"]


@dataclass(frozen=True)
class Asked:
    """A model that was opened, the ids of the prompt, and how tokens are written."""

    opened: Opened
    ids: list[int]
    name: Callable[[int], str]
    options: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The prompt's tokens as they are written."""
        return [self.name(i) for i in self.ids]

    @property
    def model(self) -> Inspectable:
        """The model, where its two ends can be looked at."""
        if not isinstance(self.opened.model, Inspectable):
            raise MinilmError(f"{self.opened.model.name} shows neither its embeddings nor its head")
        return self.opened.model

    def show(self, table: str, records: list[Any], **picture: Any) -> None:
        """Print the table, or the records as JSON lines; draw the picture where one is asked for."""
        if self.options["as_lines"]:
            for record in records:
                print(dumps(as_json(record)))
        else:
            text_face.write(table, sys.stdout)
        if self.options["plot"] is not None:
            click.echo(f"wrote {save_picture(self.options['plot'], **picture)}", err=True)

    def token(self, option: str) -> int | None:
        """Return the id that a word given as an option means, or None where the option is not given."""
        word = self.options.get(option)
        if word is None:
            return None
        meant = ids_of(word, self.opened.codec)
        if meant.note:
            click.echo(visible(meant.note, keep=""), err=True)
        return meant.id

    def layer(self, kind: str) -> int:
        """The layer asked for. Raises MinilmError where the model has no such, or none of that kind."""
        names = inside.layer_names(self.opened.model, kind)
        count, layer = sum(name.partition(".")[2].isdecimal() for name in names), self.options["layer"]
        if not 0 <= layer < count:
            raise MinilmError(f"Layers are numbered 0 to {count - 1}, got {layer}")
        return layer


def _look(*extra: Any) -> Callable[[Callable[[Asked], None]], click.Command]:
    """A sub-command from a function of what was asked: the model's options, the prompt's, and these."""

    def made(run: Callable[[Asked], None]) -> click.Command:
        def called(source: str | None, backend: str | None, device: str, dtype: str, **options: Any) -> None:
            opened = open_model(source, backend, device, dtype)
            ids, texts = opened.codec.encode(options["prompt"], special=True), TokenTexts(opened.codec)
            if not ids:
                raise MinilmError("The prompt is empty, so there is nothing to read; give a text")
            run(Asked(opened, ids, lambda token_id: piece(*texts(token_id)), options))

        common = [
            click.option("--prompt", default=PROMPT, show_default=True, help="The text to read."),
            *extra,
            click.option("--plot", metavar="FILE", help="Draw it into a .png or .svg file."),
            click.option("--json", "as_lines", is_flag=True, help="Print records as JSON lines instead."),
        ]
        for option in reversed(common):
            called = option(called)
        name = run.__name__.strip("_")
        example = f"Example: minilm inside {name} --prompt 'Once upon a time'{_EXAMPLES.get(name, '')}"
        return click.command(name, help=run.__doc__, epilog=example)(model_options(called))

    return made


_HF = " --model hf:PATH_OR_ID"
_EXAMPLES = {"attention": _HF, "lens": _HF, "neighbours": " --token there"}
_layer = click.option("--layer", default=0, show_default=True, help="Which layer, from 0.")
_token = click.option("--token", metavar="WORD|#ID", help="Of this token; the model's best one by default.")
_near = click.option("--token", metavar="WORD|#ID", help="Of this token; the prompt's last one by default.")
_against = click.option("--rather-than", metavar="WORD|#ID", help="Less that of this token.")


@click.group(epilog="Example: minilm inside gates --prompt 'Once upon a time'")
def command() -> None:
    """Look inside a model as it reads a prompt."""


@_look(_layer)
def _gates(asked: Asked) -> None:
    """An LSTM's gates over the prompt, and its memory's half-life.

    Of each gate its mean opening and the share of units below 0.1 and above 0.9; then norms and half-life.
    """
    layer = asked.layer("gates")
    found = inside.gates(inside.look(asked.opened.model, asked.ids, "gates", "cell", "hidden"), layer)
    asked.show(tables.gates_table(found, asked.names), [found], gates=found, names=asked.names)


@_look(_token, _against)
def _memory(asked: Asked) -> None:
    """A logit split exactly over the tokens that an LSTM remembers."""
    reading = inside.look(asked.opened.model, asked.ids, "gates", "cell")
    target, against, of = _targets(asked, reading)
    found = inside.memory(asked.model, reading, target, against)
    asked.show(tables.memory_table(found, asked.names, of), [found], memory=found, names=asked.names, of=of)


@_look(_layer)
def _attention(asked: Asked) -> None:
    """Where the heads of a transformer look from the last token."""
    layer = asked.layer("attention")
    reading = inside.look(asked.opened.model, asked.ids, "attention")
    found = inside.attention(reading, layer)
    table = tables.attention_table(found, asked.names, float(reading.inner["attention.logit_difference"]))
    asked.show(table, list(found), heads=found, names=asked.names)


@_look()
def _lens(asked: Asked) -> None:
    """What the head would say to every layer of a transformer.

    Beside it the norm of the layer's hidden state at the last token.
    """
    reading = inside.look(asked.opened.model, asked.ids, "logit_lens", "hidden")
    found = inside.lens(reading)
    table = tables.lens_table(found, asked.name, float(reading.inner["logit_lens.logit_difference"]))
    asked.show(table, list(found), layers=found)


@_look(_near, click.option("--count", default=10, show_default=True, help="How many neighbours."))
def _neighbours(asked: Asked) -> None:
    """The tokens whose embeddings lie nearest to a token's."""
    token_id = asked.token("token")
    one = asked.ids[-1] if token_id is None else token_id
    found = inside.neighbours(asked.model, one, asked.options["count"])
    names = [asked.name(n.id) for n in found]
    table = f"nearest to {asked.name(one)}\n\n{tables.neighbours_table(found, asked.name)}"
    asked.show(table, list(found), near=found, names=names, of=asked.name(one))


@_look(_token, _against)
def _units(asked: Asked) -> None:
    """What each hidden unit adds to a logit, or to A rather than B."""
    reading = inside.look(asked.opened.model, asked.ids, "hidden")
    target, against, of = _targets(asked, reading)
    found = inside.units(asked.model, reading, target, against)
    asked.show(tables.units_table(found, of), [found], units=found, of=of)


def _targets(asked: Asked, reading: Any) -> tuple[int, int | None, str]:
    """The token asked about, the one it is held against, and both in words."""
    target, against = asked.token("token"), asked.token("rather_than")
    target = int(reading.logits[-1].argmax()) if target is None else target
    of = f"logit of {asked.name(target)}"
    return target, against, of if against is None else f"{of} less that of {asked.name(against)}"


for _made in (_gates, _memory, _attention, _lens, _neighbours, _units):
    command.add_command(_made)
