"""minilm debug train: step through a training, forward and back, from the terminal or a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from minilm.backends import available
from minilm.cli.debug.loop import converse, say, scripted, typed
from minilm.cli.train import command as train_command
from minilm.errors import MinilmError

__all__ = ["command", "opened", "training_options"]

_SHARED = (  # options of minilm train that mean the same here
    *("text", "backend", "steps", "tokenizer", "vocab_size", "embedding", "hidden", "layers", "dropout"),
    *("batch", "length", "rate", "clip", "seed", "device", "dtype"),
)


def training_options() -> list[click.Parameter]:
    """The options of a training: a new one, or one that left checkpoints; and where snapshots go."""
    own: list[click.Parameter] = [
        click.Option(["--run", "folder"], metavar="DIR", help="Go on from a training's newest checkpoint."),
        click.Option(["--snapshots"], metavar="DIR", help="Keep snapshots here; in memory by default."),
    ]
    return [*own, *(option for option in train_command.params if option.name in _SHARED)]


@click.command(epilog="Example: minilm debug train --steps 40 --hidden 32")
@click.option("--script", metavar="FILE", help="Read the commands from a file, one a line, echoed.")
def command(script: str | None, **options: Any) -> None:
    """Step through a training, forward and back.

    next, back, jump, until a condition, gradients, update, rate, branch, diff ...: commands are read
    from the terminal, from --script, or from a pipe; help lists them. The training is a new one, on
    files or on the built-in stories, or --run goes on from where one stopped.
    """
    from minilm.cli.debug.train_inspect import LOOKS
    from minilm.cli.debug.train_navigate import MOVES, TrainDesk, prompt_line
    from minilm.training.timeline.session import open_session

    read = scripted(script) if script else typed
    run, timeline = opened(options)
    say(f"{timeline.last - timeline.first} steps of {run.model.name}; help lists the commands, quit ends")
    converse((*MOVES, *LOOKS), TrainDesk(open_session(timeline), run.codec), prompt_line, read)


command.params.extend(training_options())


def opened(options: dict[str, Any]) -> tuple[Any, Any]:
    """The run that the options mean, and the timeline at its beginning."""
    from minilm.training.fit import Schedule
    from minilm.training.timeline.timeline import Timeline
    from minilm.workflows.train import fresh, resumed

    options = {**options, "minutes": None, "backend_given": options["backend"] is not None}
    options["backend"] = options["backend"] or ("torch" if "torch" in available() else "numpy")
    folder = options["folder"]
    run = resumed(Path(folder) / "checkpoints", options) if folder else fresh(options)
    settings = run.settings
    if run.start >= settings["steps"]:
        raise MinilmError(f"{folder} has made all its {run.start} steps; give more with --steps")
    return run, Timeline(
        run.model,
        run.batches,
        Schedule(settings["rate"], settings["steps"]),
        clip=settings["clip"] or None,
        start=run.start,
        tokens=run.tokens,
        codec=run.codec,
        folder=options["snapshots"],
    )
