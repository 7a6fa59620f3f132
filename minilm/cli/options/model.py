"""The options that name a model: --model, --backend, --device and --dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from minilm.workflows import open as opening

__all__ = ["model_options", "open_model"]


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options --model, --backend, --device and --dtype of every command that opens a model."""
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


def open_model(
    source: str | None, backend: str | None = None, device: str = "cpu", dtype: str = "float32"
) -> opening.Opened:
    """Open what the options name; a model that opens with a loss says so on standard error."""
    opened = opening.open_model(source, backend, device, dtype)
    if notice := getattr(opened.model, "notice", None):
        click.echo(notice, err=True)
    return opened
