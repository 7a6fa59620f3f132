"""minilm compare --template: print a file to begin with, whose LSTM equals the reference."""

from __future__ import annotations

from dataclasses import dataclass

import click

from minilm.cli.options.request import takes
from minilm.comparison.student.contract import make_template

__all__ = ["TemplateRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class TemplateRequest:
    """The options of `minilm compare template`.

    Attributes:
        framework: numpy, torch or tensorflow.
    """

    framework: str


@click.command(epilog="Example: minilm compare template torch")
@click.argument("framework")
@takes(TemplateRequest)
def command(request: TemplateRequest) -> None:
    """Print a student's file to begin with.

    FRAMEWORK is numpy, torch or tensorflow. Its LSTM equals the reference.
    """
    click.echo(make_template(request.framework), nl=False)
