"""The options that name a model: --model, --backend, --device and --dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from minilm.workflows import open as opening

__all__ = ["ModelOptions", "model_options", "open_with_notices"]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options of a command that opens a model.

    Attributes:
        source: A model folder or `hf:PATH_OR_ID`; None is the built-in model.
        backend: numpy, torch or tensorflow; None leaves the choice to minilm.
        device: Where the model computes, such as cpu or cuda.
        dtype: The precision of the weights, such as float32.
    """

    source: str | None
    backend: str | None
    device: str
    dtype: str

    def open(self) -> opening.Opened:
        """Open the model; where opening changes it, a line on standard error says so."""
        return open_with_notices(self.source, self.backend, self.device, self.dtype)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ModelOptions to a command."""
    options = [
        click.option(
            "--model",
            "source",
            metavar="DIR|hf:PATH_OR_ID",
            help="A model folder, or a Hugging Face causal LM; the built-in Storyland model by default.",
        ),
        click.option("--backend", help="numpy, torch or tensorflow: open the folder in this framework."),
        click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ..."),
        click.option(
            "--dtype",
            default="float32",
            show_default=True,
            help="float32 or float64; hf: bfloat16 or float16 too.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_with_notices(
    source: str | None, backend: str | None = None, device: str = "cpu", dtype: str = "float32"
) -> opening.Opened:
    """Open a model; where opening changes it, a line on standard error says so.

    Args:
        source: A model folder or `hf:PATH_OR_ID`; None is the built-in model.
        backend: numpy, torch or tensorflow; None leaves the choice to minilm.
        device: Where the model computes.
        dtype: The precision of the weights.
    """
    opened = opening.open_model(source, backend=backend, device=device, dtype=dtype)
    for notice in opened.notices:
        click.echo(notice, err=True)
    return opened
