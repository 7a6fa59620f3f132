"""minilm debug: step through a run by hand; each kind of run is a sub-command in a file of its own."""

from __future__ import annotations

import click

from minilm.cli.debug import (
    generate as debug_generate,
)
from minilm.cli.debug import (
    prompt as debug_prompt,
)
from minilm.cli.debug import (
    train as debug_train,
)

__all__ = ["command"]


@click.group(
    epilog="Example: minilm debug generate --prompt 'Once upon a time'\n\n\b\n"
    "In Python: minilm.open().start('Once upon a time').advance().peek()"
)
def command() -> None:
    """Step forward and back through a run, look at everything, and change it on the way."""


command.add_command(debug_generate.command, "generate")

command.add_command(debug_train.command, "train")

command.add_command(debug_prompt.command, "prompt")
