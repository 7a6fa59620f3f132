"""minilm train: a tokenizer and an LSTM from text, in any framework, with checkpoints."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import click

from minilm.backends import BACKENDS, available
from minilm.backends.processes import LostWorkerError, this_worker
from minilm.errors import MinilmError
from minilm.records import TrainStep
from minilm.storage.model_folder import write_model

__all__ = ["command"]

SECONDS_BETWEEN_SAVES = 30.0


@click.command(epilog="Example: minilm train --out stories-run --steps 20 --hidden 32")
@click.option("--text", multiple=True, metavar="FILE", help="UTF-8 text, once or more; stories by default.")
@click.option("--out", required=True, metavar="DIR", help="A new folder for checkpoints and the model.")
@click.option("--backend", type=click.Choice(list(BACKENDS)), help="torch by default, where it is installed.")
@click.option("--steps", type=click.IntRange(min=1), help="Updates to make.")
@click.option("--minutes", type=float, help="Instead of steps: as many as fit, measured first.")
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in DIR, with its settings.")
@click.option("--tokenizer", metavar="FILE", help="A .model file; otherwise one is trained on the text.")
@click.option("--vocab-size", type=int, help="Of the tokenizer trained: 2000, or 800 for stories.")
@click.option("--embedding", type=int, help="Numbers of an embedding: 64, or 48 for stories.")
@click.option("--hidden", type=int, help="Units of an LSTM layer: 128.")
@click.option("--layers", default=1, show_default=True, help="LSTM layers, 1 to 3.")
@click.option("--dropout", type=float, help="After every layer: 0.3, or 0 for stories.")
@click.option("--batch", type=int, help="Rows of a batch: 8.")
@click.option("--length", type=int, help="Tokens of a row: 64, or a whole story.")
@click.option("--rate", type=float, help="Peak of Adam's learning rate: 0.005, or 0.02 for stories.")
@click.option("--clip", default=1.0, show_default=True, help="Bound of the global gradient norm; 0: none.")
@click.option("--seed", default=0, show_default=True, help="Of weights, order of the data and dropout.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ...")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--json", "as_lines", is_flag=True, help="Print a JSON line for every step.")
def command(out: str, resume: bool, as_lines: bool, **options: Any) -> None:
    """Train a tokenizer and an LSTM language model on files, or on Storyland, the built-in stories."""
    from minilm.workflows.train import fresh, resumed
    from minilm.workflows.workers import agreed, leave

    folder = Path(out)
    _check(folder, resume, options)
    options["backend_given"] = options["backend"] is not None
    options["backend"] = options["backend"] or ("torch" if "torch" in available() else "numpy")
    run = agreed(resumed(folder / "checkpoints", options) if resume else fresh(options))
    if this_worker().leads:
        _announce(run)
        stopped = _train(run, folder, as_lines)
    else:
        stopped = _follow(run)
    if stopped:
        sys.exit(128 + stopped)
    leave()


def _announce(run: Any) -> None:
    for notice in run.notices:
        click.echo(f"note: {notice}", err=True)
    if run.floor:
        click.echo(
            f"Storyland's entropy, the floor: {run.floor.per_token:.4f} nats per token, "
            f"{run.floor.per_character:.4f} per character",
            err=True,
        )


def _check(folder: Path, resume: bool, options: dict[str, Any]) -> None:
    if options["steps"] and options["minutes"]:
        raise MinilmError("Give --steps or --minutes, not both")
    if options["minutes"] is not None and not 0 < options["minutes"] < float("inf"):
        raise MinilmError(f"--minutes must be above 0, got {options['minutes']}")
    if not resume and os.path.lexists(folder):
        raise MinilmError(
            f"{folder} exists already; give a new --out, or go on with --resume (nothing was changed)"
        )


def _train(run: Any, folder: Path, as_lines: bool) -> int:
    """Train, save and show; returns the number of the signal that stopped it, or 0."""
    from minilm.faces.progress import training
    from minilm.training.checkpoint import save
    from minilm.workflows.workers import reached

    def keep(step: int, tokens: int) -> None:
        save(folder / "checkpoints", run.model, step, tokens, run.settings, run.codec.model_bytes)

    total, step = run.settings["steps"], None
    last = monotonic() if this_worker().size == 1 else -inf  # several workers: one may be lost at once
    with _signals() as caught:
        try:
            for step in training(run.steps(), total, run.settings["backend"], run.start):
                _render(step, run.characters, as_lines)
                if caught or step.index == total or monotonic() - last > SECONDS_BETWEEN_SAVES:
                    keep(step.index, step.tokens)
                    last = monotonic()
                if caught:
                    break
        except LostWorkerError:
            made, tokens = reached(run, step)
            if made > run.start:
                keep(made, tokens)
            if not caught:
                raise
    if caught:
        click.echo(f"stopped; go on with: minilm train --out {_quoted(folder)} --resume", err=True)
        return caught[0]
    _finish(run, folder / "model")
    click.echo(f"model: {folder / 'model'}", err=True)
    click.echo(f"open it: minilm generate --model {_quoted(folder / 'model')}", err=True)
    return 0


def _follow(run: Any) -> int:
    """Take part in the first worker's training: nothing is written or shown; returns as _train does."""
    with _signals() as caught:
        try:
            for _ in run.steps():
                if caught:
                    break
        except LostWorkerError:
            if not caught:
                raise
    return caught[0] if caught else 0


def _finish(run: Any, target: Path) -> None:
    """The finished model's folder; a resumed run's replaces the one that it went on from."""
    from shutil import rmtree

    rmtree(target, ignore_errors=True)
    write_model(target, run.model.config, run.model.weights(), run.codec.model_bytes)


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
    """Collect SIGINT and SIGTERM instead of dying of them, so that the loop can save first."""
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


def _quoted(path: Path) -> str:
    from shlex import quote

    return quote(str(path))
