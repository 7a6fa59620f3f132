"""minilm train: a tokenizer and an LSTM from text, in any framework, with checkpoints."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote

import click

from minilm.backends.processes import LostWorkerError, this_worker
from minilm.cli.options.request import takes
from minilm.cli.options.text_files import TextCommand
from minilm.cli.options.training import training_options
from minilm.records import TrainStep
from minilm.workflows.train import Training, TrainingRequest

__all__ = ["TrainRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class TrainRequest(TrainingRequest):
    """The options of `minilm train`.

    Attributes:
        as_lines: Print a JSON line for every step.
    """

    as_lines: bool


@click.command(
    cls=TextCommand,
    epilog="Example: minilm train --out stories-run --steps 20 --hidden 32\n\n\b\n"
    "In Python: minilm.Training(steps=20, hidden=32, out='stories-run')",
)
@click.option("--out", required=True, metavar="DIR", help="A new folder for checkpoints and the model.")
@click.option(
    "--minutes", type=float, help="Instead of steps: end after this time; with --resume, this time more."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the newest checkpoint in DIR, with its settings; --rate and --clip may be others.",
)
@training_options
@click.option("--json", "as_lines", is_flag=True, help="Print a JSON line for every step.")
@takes(TrainRequest)
def command(request: TrainRequest) -> None:
    """Train a tokenizer and an LSTM language model on files, or on Storyland, the built-in stories."""
    training = Training.of(request)
    training.begin()
    if this_worker().leads:
        _announce(training)
        stopped = _train(training, request.as_lines)
    else:
        stopped = _follow(training)
    if stopped:
        sys.exit(128 + stopped)
    training.finish()


def _announce(training: Training) -> None:
    for notice in training.prepared.notices:
        click.echo(f"note: {notice}", err=True)
    if training.prepared.floor:
        click.echo(
            f"Storyland's entropy, the floor: {training.prepared.floor.per_token:.4f} nats per token, "
            f"{training.prepared.floor.per_character:.4f} per character",
            err=True,
        )


def _train(training: Training, as_lines: bool) -> int:
    """Train and show; return the number of the signal that stopped it, or 0."""
    from minilm.faces.progress import show_training

    total, name = training.prepared.settings.steps, training.prepared.settings.backend
    with _signals(training) as caught:
        try:
            for step in show_training(training, total, name, training.index):
                _render(step, training.prepared.characters, as_lines)
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
    with _signals(training) as caught:
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
def _signals(training: Training) -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM, so that the loop can save; a second one ends at once."""
    caught: list[int] = []

    def stop(number: int, _frame: object) -> None:
        caught.append(number)
        training.stop()
        # The system then acts without waiting for Python, which may be deep in a long computation.
        for other in before:
            signal.signal(other, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
