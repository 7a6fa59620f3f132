"""minilm debug prompt: one prompt through a training, and what single updates did to one prediction."""

from __future__ import annotations

from typing import Any

import click

from minilm.builtin import PROMPT
from minilm.cli.debug_loop import say
from minilm.cli.debug_train import opened, training_options
from minilm.cli.stages import DEFAULT
from minilm.errors import MinilmError

__all__ = ["command"]


@click.command(epilog="Example: minilm debug prompt --prompt 'Once upon a' --word time --steps 6 --hidden 32")
@click.option("--prompt", default=PROMPT, show_default=True, help="Read anew at every place.")
@click.option("--word", help="Follow its probability and its embedding; the prompt's last token by default.")
@click.option("--stages", default=DEFAULT, show_default=True, help="The sampling stages.")
@click.option("--max-tokens", default=12, show_default=True, help="How much to write at each place.")
@click.option("--dice", default=0, show_default=True, help="Seed of the dice, the same at every place.")
@click.option("--every", default=0, help="Steps between two places; a dozen places by default.")
@click.option("--effect", "effects", multiple=True, type=int, metavar="STEP", help="What this update did.")
@click.option("--plot", metavar="FILE", help="Draw gates over the training into a .png or .svg file.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines instead of tables.")
def command(prompt: str, word: str | None, plot: str | None, as_lines: bool, **options: Any) -> None:
    """Train, and replay one prompt with the same dice at places along the way: text, probability, gates.

    The training is a new one, or --run goes on from where one stopped; the options are those of minilm train.
    """
    from minilm.comparison.through_training import effect_of_update, places, through_training
    from minilm.faces.text_train import effect_text, moments_text
    from minilm.generation.trace import as_json, dumps

    run, timeline = opened(options)
    models = places(timeline, _steps(timeline, options["every"]))
    sampled = {"stages": options["stages"], "seed": options["dice"], "max_tokens": options["max_tokens"]}
    moments = list(through_training(models, run.codec, prompt, word=word, **sampled))
    effects = [effect_of_update(timeline.jump(n - 1), run.codec, prompt, word) for n in options["effects"]]
    if as_lines:
        for kind, records in (("moment", moments), ("effect", effects)):
            for record in records:
                print(dumps({kind: as_json(record)}))
    else:
        say("\n\n".join([moments_text(moments), *map(effect_text, effects)]))
    if plot:
        _draw(timeline, run.codec.encode(prompt, special=True), [m.index for m in moments], plot)


command.params.extend(training_options())


def _steps(timeline: Any, every: int) -> list[int]:
    """The places to read the prompt at: both ends, and between them every so many."""
    if every < 0:
        raise MinilmError(f"--every must be 1 or more, got {every}")
    every = every or max(1, (timeline.last - timeline.first) // 11)
    return sorted({*range(timeline.first, timeline.last, every), timeline.last})


def _draw(timeline: Any, ids: list[int], steps: list[int], path: str) -> None:
    from minilm.faces.plots import save
    from minilm.faces.plots.gates import gates_over_training
    from minilm.training.gate_moments import gates_through

    click.echo(
        f"wrote {save(gates_over_training(list(gates_through(timeline, ids, steps))), path)}", err=True
    )
