"""minilm debug train: step through a training, forward and back, from the terminal or a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from minilm.cli.debug.loop import read_script, read_terminal, run_commands, say
from minilm.cli.train import shared_options

if TYPE_CHECKING:
    from minilm.training.timeline.timeline import Timeline
    from minilm.workflows.train import Training

__all__ = ["command", "opened", "training_options"]


def training_options() -> list[click.Parameter]:
    """The options of a training: a new one, or one that left checkpoints; and where snapshots go."""
    own: list[click.Parameter] = [
        click.Option(["--run", "folder"], metavar="DIR", help="Go on from a training's newest checkpoint."),
        click.Option(["--snapshots"], metavar="DIR", help="Keep snapshots here; in memory by default."),
    ]
    return [*own, *shared_options()]


@click.command(epilog="Example: minilm debug train --steps 40 --hidden 32")
@click.option("--script", metavar="FILE", help="Read the commands from a file, one a line, echoed.")
def command(script: str | None, **options: Any) -> None:
    """Step through a training, forward and back.

    next, back, jump, until a condition, gradients, update, rate, branch, diff ...: commands are read
    from the terminal, from --script, or from a pipe; help lists them. The training is a new one, on
    files or on the built-in stories, or --run goes on from where one stopped.
    """
    from minilm.cli.debug.train_inspect import INSPECT
    from minilm.cli.debug.train_navigate import NAVIGATE, TrainState, prompt_line
    from minilm.training.timeline.session import open_session

    read = read_script(script) if script else read_terminal
    training, timeline = opened(options)
    say(
        f"{timeline.last - timeline.first} steps of {training.model.name}; help lists the commands, quit ends"
    )
    state = TrainState(open_session(timeline), training.codec)
    run_commands((*NAVIGATE, *INSPECT), state, prompt_line, read)


command.params.extend(training_options())


def opened(options: dict[str, Any]) -> tuple[Training, Timeline]:
    """The training that the options mean, and the timeline at its beginning."""
    from minilm.workflows.train import Training

    asked = {option.name or "": options[option.name or ""] for option in shared_options()}
    training = Training(**asked, out=options["folder"], resume=options["folder"] is not None)
    return training, training.timeline(options["snapshots"])
