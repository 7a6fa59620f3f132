"""The options of a training, which `minilm train` and the debugger of trainings share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click

from minilm.backends import BACKENDS
from minilm.training.timeline.timeline import Timeline
from minilm.workflows.train import Training, TrainingRequest

__all__ = ["TimelineOptions", "timeline_options", "training_options"]

_OPTIONS = (
    click.option(
        "--text",
        multiple=True,
        metavar="FILE ...",
        help="UTF-8 files, folders, patterns in quotes, or - for standard input; stories by default.",
    ),
    click.option(
        "--backend", type=click.Choice(list(BACKENDS)), help="torch by default, where it is installed."
    ),
    click.option("--steps", type=click.IntRange(min=1), help="Updates to make."),
    click.option("--tokenizer", metavar="FILE", help="A .model file; by default one is trained on the text."),
    click.option("--vocab-size", type=int, help="Of the trained tokenizer: 2000, or 800 for stories."),
    click.option("--embedding", type=int, help="Numbers of an embedding: 64, or 48 for stories."),
    click.option("--hidden", type=int, help="Units of an LSTM layer: 128."),
    click.option("--layers", default=1, show_default=True, help="LSTM layers, 1 to 3."),
    click.option("--dropout", type=float, help="Share left out after every layer: 0.3, or 0 for stories."),
    click.option("--batch", type=int, help="Rows of a batch: 8."),
    click.option("--length", type=int, help="Tokens of a row: 64, or a whole story."),
    click.option("--rate", type=float, help="Highest learning rate of Adam: 0.005, or 0.02 for stories."),
    click.option("--clip", type=float, help="Limit of the global gradient norm: 1; 0 for none."),
    click.option("--seed", default=0, show_default=True, help="Of weights, order of the data and dropout."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ..."),
    click.option("--dtype", default="float32", show_default=True, help="float32 or float64."),
)


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training to a command. Their fields are those of TrainingRequest."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class TimelineOptions(TrainingRequest):
    """The options of a command that steps through a training, a new one or one with checkpoints in `out`.

    Attributes:
        snapshots: A folder for snapshots, or None to keep them in memory.
    """

    snapshots: str | None

    def start(self) -> tuple[Training, Timeline]:
        """Return the training, and its timeline before the next step."""
        training = Training.of(replace(self, resume=self.out is not None))
        return training, training.timeline(self.snapshots)


def timeline_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of TimelineOptions to a command."""
    options = [
        click.option("--run", "out", metavar="DIR", help="Go on from a training's newest checkpoint."),
        click.option("--snapshots", metavar="DIR", help="Keep snapshots here; in memory by default."),
    ]
    command = training_options(command)
    for option in reversed(options):
        command = option(command)
    return command
