"""minilm train: a tokenizer and an LSTM from text, in any framework, with checkpoints."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from minilm.backends import BACKENDS
from minilm.backends.processes import LostWorkerError, this_worker
from minilm.records import TrainStep

if TYPE_CHECKING:
    from minilm.workflows.train import Training

__all__ = ["command", "shared_options"]

_OPTIONS = (  # they mean the same in `minilm debug train`
    click.option(
        "--text", multiple=True, metavar="FILE", help="UTF-8 text; may be repeated; stories by default."
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
    click.option(
        "--clip", default=1.0, show_default=True, help="Limit of the global gradient norm; 0: none."
    ),
    click.option("--seed", default=0, show_default=True, help="Of weights, order of the data and dropout."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ..."),
    click.option("--dtype", default="float32", show_default=True, help="float32 or float64."),
)


def training_options(command: Any) -> Any:
    """Add the options of a training to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def shared_options() -> list[click.Parameter]:
    """Return the options that `minilm debug` takes too: all but those of a training's folder."""
    return [one for one in command.params if one.name not in ("out", "minutes", "resume", "as_lines")]


@click.command(
    epilog="Example: minilm train --out stories-run --steps 20 --hidden 32\n\n"
    "In Python: minilm.Training(steps=20, hidden=32, out='stories-run')"
)
@click.option("--out", required=True, metavar="DIR", help="A new folder for checkpoints and the model.")
@click.option("--minutes", type=float, help="Instead of steps: as many as fit, measured first.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in DIR, with its settings.")
@training_options
@click.option("--json", "as_lines", is_flag=True, help="Print a JSON line for every step.")
def command(as_lines: bool, **options: Any) -> None:
    """Train a tokenizer and an LSTM language model on files, or on Storyland, the built-in stories."""
    from minilm.workflows.train import Training

    training = Training(**options)
    if this_worker().leads:
        _announce(training)
        stopped = _train(training, as_lines)
    else:
        stopped = _follow(training)
    if stopped:
        sys.exit(128 + stopped)
    training.finish()


def _announce(training: Training) -> None:
    for notice in training.notices:
        click.echo(f"note: {notice}", err=True)
    if training.floor:
        click.echo(
            f"Storyland's entropy, the floor: {training.floor.per_token:.4f} nats per token, "
            f"{training.floor.per_character:.4f} per character",
            err=True,
        )


def _train(training: Training, as_lines: bool) -> int:
    """Train and show; return the number of the signal that stopped it, or 0."""
    from minilm.faces.progress import training as with_progress

    total, name = training.settings.steps, training.settings.backend
    with _signals() as caught:
        try:
            for step in with_progress(training, total, name, training.index):
                _render(step, training.characters, as_lines)
                if caught:
                    training.save()
                    break
        except LostWorkerError:
            if not caught:
                raise
    out = training.request.out or ""
    if caught:
        click.echo(f"stopped; go on with: minilm train --out {quote(out)} --resume", err=True)
        return caught[0]
    click.echo(f"model: {training.folder}", err=True)
    click.echo(f"open it: minilm generate --model {quote(str(training.folder))}", err=True)
    return 0


def _follow(training: Training) -> int:
    """Take part in the first worker's training without a word; return as `_train` does."""
    with _signals() as caught:
        try:
            for _ in training:
                if caught:
                    break
        except LostWorkerError:
            if not caught:
                raise
    return caught[0] if caught else 0


def _render(step: TrainStep, characters: float, as_lines: bool) -> None:
    if as_lines:
        from minilm.trace.json import as_json, dumps

        click.echo(dumps({"train": as_json(step)}))
    elif step.validation is not None:
        click.echo(
            f"step {step.index}  loss {step.loss:.4f}  validation {step.validation:.4f} nats per token, "
            f"{step.validation / characters:.4f} per character"
        )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, so that the loop can save before it ends."""
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda signum, _frame: caught.append(signum))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
