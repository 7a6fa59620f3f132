"""minilm debug prompt: one prompt through a training, and what single updates did to one prediction."""

from __future__ import annotations

from typing import Any

import click

from minilm.builtin import PROMPT
from minilm.cli.debug.loop import say
from minilm.cli.debug.train import opened, training_options
from minilm.cli.options.stages import DEFAULT
from minilm.errors import MinilmError
from minilm.faces.visible import visible
from minilm.token_text import ids_of

__all__ = ["command"]


@click.command(epilog="Example: minilm debug prompt --prompt 'Once upon a' --word time --steps 6 --hidden 32")
@click.option("--models", multiple=True, metavar="DIR", help="A saved model or checkpoint, in this order.")
@click.option("--prompt", default=PROMPT, show_default=True, help="Read anew at every place.")
@click.option(
    "--word",
    metavar="WORD|#ID",
    help="Follow its probability and its embedding; the prompt's last token by default.",
)
@click.option("--stages", default=DEFAULT, show_default=True, help="The sampling stages.")
@click.option("--max-tokens", default=12, show_default=True, help="How much to write at each place.")
@click.option("--dice", default=0, show_default=True, help="Seed of the dice, the same at every place.")
@click.option("--every", default=0, help="Steps between two places; a dozen places by default.")
@click.option("--effect", "effects", multiple=True, type=int, metavar="STEP", help="What this update did.")
@click.option("--plot", metavar="FILE", help="Draw gates over the training into a .png or .svg file.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines instead of tables.")
def command(prompt: str, word: str | None, plot: str | None, as_lines: bool, **options: Any) -> None:
    """Replay one prompt at places along a training.

    With the same dice, so that all that differs is the model: its text, a probability, the gates. The
    training is a new one, or --run goes on from where one stopped; the options are those of minilm
    train.
    With --models once or more nothing is trained: the places are saved models, checkpoints among them.
    """
    from minilm.comparison.training import effect_of_update, places, through_training
    from minilm.faces.text.train import effect_text, moments_text
    from minilm.trace.json import as_json, dumps

    timeline: Any = None
    if options["models"]:
        _refuse_with_models(plot, options)
        codec, models = _saved(options)
    else:
        run, timeline = opened(options)
        codec, models = run.codec, places(timeline, _steps(timeline, options["every"]))
    sampled = {"stages": options["stages"], "seed": options["dice"], "max_tokens": options["max_tokens"]}
    if word is not None and (note := ids_of(word, codec).note):
        click.echo(visible(note, keep=""), err=True)
    moments = list(through_training(models, codec, prompt, word=word, **sampled))
    effects = [effect_of_update(timeline.jump(n - 1), codec, prompt, word) for n in options["effects"]]
    if as_lines:
        for kind, records in (("moment", moments), ("effect", effects)):
            for record in records:
                print(dumps({kind: as_json(record)}))
    else:
        say("\n\n".join([moments_text(moments), *map(effect_text, effects)]))
    if plot is not None:
        _draw(timeline, codec.encode(prompt, special=True), [m.index for m in moments], plot)


command.params.extend(training_options())


def _refuse_with_models(plot: str | None, options: dict[str, Any]) -> None:
    if plot is not None or options["effects"] or options["every"] or options["folder"]:
        raise MinilmError("--plot, --effect, --every and --run need a training; leave them or --models out")


def _saved(options: dict[str, Any]) -> tuple[Any, list[tuple[int, Any]]]:
    """The tokenizer that saved models have in common, and each with the updates that its folder tells of.

    A folder that tells of none counts by its place in the row, from 1.
    """
    from minilm.cli.options.model import open_model
    from minilm.storage.model_folder import read_model

    models, codecs = [], []
    for place, folder in enumerate(options["models"], 1):
        held = read_model(folder)
        found = open_model(folder, options["backend"], options["device"], options["dtype"])
        if codecs and held.tokenizer_bytes != codecs[0][0]:
            raise MinilmError(f"{folder} has another tokenizer than {options['models'][0]}; leave it out")
        codecs.append((held.tokenizer_bytes, found.codec))
        told = held.extra.get("training")
        step = told.get("step") if isinstance(told, dict) else None
        models.append((step if isinstance(step, int) else place, found.model))
    return codecs[0][1], models


def _steps(timeline: Any, every: int) -> list[int]:
    """The places to read the prompt at: both ends, and between them every so many."""
    if every < 0:
        raise MinilmError(f"--every must be 1 or more, got {every}")
    every = every or max(1, (timeline.last - timeline.first) // 11)
    return sorted({*range(timeline.first, timeline.last, every), timeline.last})


def _draw(timeline: Any, ids: list[int], steps: list[int], path: str) -> None:
    from minilm.faces.plots import save
    from minilm.faces.plots.gates import gates_over_training
    from minilm.training.timeline.gates import gates_through

    click.echo(
        f"wrote {save(gates_over_training(list(gates_through(timeline, ids, steps))), path)}", err=True
    )
