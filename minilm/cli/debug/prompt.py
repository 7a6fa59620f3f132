"""minilm debug prompt: follow one prompt through a training, and see what single updates did to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from minilm.builtin import PROMPT
from minilm.cli.debug.loop import say
from minilm.cli.options.picture import PictureFile
from minilm.cli.options.request import takes
from minilm.cli.options.stages import DEFAULT
from minilm.cli.options.training import TimelineOptions, timeline_options
from minilm.comparison.training import (
    PromptMoment,
    UpdateEffect,
    follow_prompt,
    measure_update,
    spread_steps,
    visit_steps,
)
from minilm.errors import MinilmError
from minilm.faces.text.train import effect_text, moments_text
from minilm.faces.visible import visible
from minilm.protocols import Inspectable, TextCodec
from minilm.token_text import ids_of
from minilm.trace.json import as_json, dumps
from minilm.training.timeline.gates import gates_through
from minilm.training.timeline.timeline import Timeline
from minilm.workflows.open import open_saved_places

__all__ = ["DebugPromptRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class DebugPromptRequest(TimelineOptions):
    """The options of `minilm debug prompt`.

    Attributes:
        models: Folders of saved models, in the order of the training; empty to train.
        prompt: The text that every model goes on from.
        word: The word whose probability is followed, or None for the last token of the prompt.
        stages: The sampling stages, as text.
        max_tokens: How many tokens are written at each place.
        dice: The seed of the dice, the same at every place.
        every: Steps between two places; 0 for about a dozen places.
        effects: The steps, from 1, whose effect is shown.
        plot: A .png or .svg file for a picture of the gates, or None.
        as_lines: Print JSON lines instead of tables.
    """

    models: tuple[str, ...]
    prompt: str
    word: str | None
    stages: str
    max_tokens: int
    dice: int
    every: int
    effects: tuple[int, ...]
    plot: str | None
    as_lines: bool

    def __post_init__(self) -> None:
        needs_training = self.plot is not None or self.effects or self.every or self.out
        if self.models and needs_training:
            raise MinilmError(
                "--plot, --effect, --every and --run need a training; leave them or --models out"
            )
        if self.every < 0:
            raise MinilmError(f"--every must be 1 or more, got {self.every}")


@click.command(
    epilog="Example: minilm debug prompt --prompt 'Once upon a' --word time --steps 6 --hidden 32\n\n\b\n"
    "In Python: from minilm.comparison.training import follow_prompt, visit_steps; "
    "run = minilm.Training(steps=6, hidden=32); "
    "follow_prompt(visit_steps(run.timeline(), [0, 6]), run.codec, 'Once upon a', word='time')"
)
@click.option("--models", multiple=True, metavar="DIR", help="A saved model or checkpoint, in this order.")
@click.option("--prompt", default=PROMPT, show_default=True, help="The text that each place goes on from.")
@click.option(
    "--word",
    metavar="WORD|#ID",
    help="Follow its probability and its embedding; the prompt's last token by default.",
)
@click.option("--stages", default=DEFAULT, show_default=True, help="The sampling stages.")
@click.option("--max-tokens", default=12, show_default=True, help="How many tokens to write at each place.")
@click.option("--dice", default=0, show_default=True, help="Seed of the dice, the same at every place.")
@click.option("--every", default=0, help="Steps between two places; a dozen places by default.")
@click.option(
    "--effect", "effects", multiple=True, type=int, metavar="STEP", help="Show what this update did."
)
@click.option(
    "--plot",
    type=PictureFile(),
    metavar="FILE",
    help="Draw gates over the training into a .png or .svg file.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines instead of tables.")
@timeline_options
@takes(DebugPromptRequest)
def command(request: DebugPromptRequest) -> None:
    """Replay one prompt at places along a training.

    The dice are the same everywhere, so only the model differs: its text, a probability, the gates. The
    training is a new one, or --run goes on from where one stopped; the options are those of minilm train.
    With --models once or more nothing is trained: the places are saved models or checkpoints.
    """
    if request.models:
        codec, models = open_saved_places(
            request.models, backend=request.backend, device=request.device, dtype=request.dtype
        )
        _print(_moments(request, codec, models), [], request.as_lines)
        return
    training, timeline = request.start()
    codec = training.codec
    moments = _moments(request, codec, visit_steps(timeline, _steps(timeline, request.every)))
    effects = [
        measure_update(timeline.jump(step - 1), codec, request.prompt, request.word)
        for step in request.effects
    ]
    _print(moments, effects, request.as_lines)
    if request.plot is not None:
        ids = codec.encode(request.prompt, special=True)
        _draw(timeline, ids, [moment.index for moment in moments], request.plot)


def _moments(
    request: DebugPromptRequest, codec: TextCodec, models: Iterable[tuple[int, Inspectable]]
) -> list[PromptMoment]:
    if request.word is not None and (note := ids_of(request.word, codec).note):
        click.echo(visible(note, keep=""), err=True)
    return list(
        follow_prompt(
            models,
            codec,
            request.prompt,
            stages=request.stages,
            seed=request.dice,
            max_tokens=request.max_tokens,
            word=request.word,
        )
    )


def _steps(timeline: Timeline, every: int) -> list[int]:
    """Return the places to read the prompt at: one in `every` steps and the last; 12 places for every=0."""
    if not every:
        return spread_steps(timeline.first, timeline.last)
    return sorted({*range(timeline.first, timeline.last, every), timeline.last})


def _print(moments: Sequence[PromptMoment], effects: Sequence[UpdateEffect], as_lines: bool) -> None:
    if not as_lines:
        say("\n\n".join([moments_text(moments), *map(effect_text, effects)]))
        return
    for moment in moments:
        print(dumps({"moment": as_json(moment)}))
    for effect in effects:
        print(dumps({"effect": as_json(effect)}))


def _draw(timeline: Timeline, ids: list[int], steps: list[int], path: str) -> None:
    # Only --plot needs matplotlib.
    from minilm.faces.plots import plot_gates_over_training, save_picture

    picture = plot_gates_over_training(list(gates_through(timeline, ids, steps)))
    click.echo(f"wrote {save_picture(picture, path)}", err=True)
