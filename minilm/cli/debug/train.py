"""minilm debug train: step through a training, forward and back, from the terminal or a script."""

from __future__ import annotations

from dataclasses import dataclass

import click

from minilm.cli.debug.loop import read_script, read_terminal, run_commands, say
from minilm.cli.debug.train_inspect import INSPECT
from minilm.cli.debug.train_navigate import NAVIGATE, TrainState, training_prompt
from minilm.cli.options.request import takes
from minilm.cli.options.text_files import TextCommand
from minilm.cli.options.training import TimelineOptions, timeline_options
from minilm.training.timeline.timeline import open_train_session

__all__ = ["DebugTrainRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class DebugTrainRequest(TimelineOptions):
    """The options of `minilm debug train`.

    Attributes:
        script: A file with one command a line, or None to read them from the terminal.
    """

    script: str | None


@click.command(
    cls=TextCommand,
    epilog="Example: minilm debug train --steps 40 --hidden 32\n\n\b\n"
    "In Python: minilm.Training(steps=40, hidden=32).timeline().next()",
)
@click.option("--script", metavar="FILE", help="Read the commands from a file, one a line, echoed.")
@timeline_options
@takes(DebugTrainRequest)
def command(request: DebugTrainRequest) -> None:
    """Step through a training, forward and back.

    next, back, jump, until a condition, gradients, update, rate, branch, diff ...: commands are read
    from the terminal, from --script, or from a pipe; help lists them. The training is a new one, on
    files or on the built-in stories, or --run goes on from where one stopped.
    """
    read = read_script(request.script) if request.script else read_terminal
    training, timeline = request.start()
    steps = timeline.last - timeline.first
    say(f"{steps} steps of {training.model.name}; help lists the commands, quit ends")
    state = TrainState(open_train_session(timeline), training.codec)
    run_commands((*NAVIGATE, *INSPECT), state, training_prompt, read)
