"""minilm compare backends: equal weights, batches and draws in several backends; the first difference."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click

from minilm.builtin import PROMPT
from minilm.cli.options.request import takes
from minilm.cli.options.text_files import TextCommand
from minilm.comparison import ParityStep, TextPair, Verdict, judge_backends
from minilm.comparison.prepare import Comparison, prepare_comparison
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import comparison_table
from minilm.faces.progress import show_progress
from minilm.trace.json import as_json, dumps

__all__ = ["BackendsRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class BackendsRequest:
    """The options of `minilm compare backends`.

    Attributes:
        names: Two or more backends with commas between them, the reference first; None takes all installed.
        steps: Training steps to compare.
        dtype: float32 or float64.
        tolerance: The largest difference that counts as equal, times max(1, largest number); None takes
            1e-5, and tells float32 rounding from a mistake.
        folder: A model folder for weights and tokenizer; None makes fresh ones.
        files: UTF-8 texts for the batches; none takes stories.
        embedding: Embedding size of a fresh model.
        hidden: Hidden size of a fresh model.
        layers: LSTM layers of a fresh model.
        batch: Rows of a batch.
        length: Tokens of a row.
        rate: Adam's learning rate.
        clip: The bound of the global gradient norm.
        seed: The seed of weights, batches and draws.
        device: Where the frameworks run.
        prompt: The text that each backend continues.
        max_tokens: The most new tokens; 0 compares no text.
        as_lines: Print JSON lines instead of a table.
    """

    names: str | None
    steps: int
    dtype: str
    tolerance: float | None
    folder: str | None
    files: tuple[str, ...]
    embedding: int
    hidden: int
    layers: int
    batch: int
    length: int
    rate: float
    clip: float
    seed: int
    device: str
    prompt: str
    max_tokens: int
    as_lines: bool


@click.command(
    cls=TextCommand,
    epilog="Example: minilm compare backends --backends numpy,torch --steps 5\n\n\b\n"
    "In Python: from minilm.comparison import prepare_comparison; prepare_comparison(steps=5).train()",
)
@click.option(
    "--backends",
    "names",
    help="Two or more with commas between them, the reference first; all installed by default.",
)
@click.option("--steps", default=20, show_default=True, help="Training steps to compare.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option(
    "--tolerance",
    type=float,
    help="The largest difference, times max(1, largest number); by default 1e-5, or as much as float32 "
    "rounding explains.",
)
@click.option(
    "--model", "folder", metavar="DIR", help="Weights and tokenizer of a model folder; fresh ones by default."
)
@click.option(
    "--text", "files", multiple=True, metavar="FILE", help="UTF-8 text for the batches; stories by default."
)
@click.option("--embedding", default=32, show_default=True, help="Embedding size of a fresh model.")
@click.option("--hidden", default=64, show_default=True, help="Hidden size of a fresh model.")
@click.option("--layers", default=1, show_default=True, help="LSTM layers of a fresh model.")
@click.option("--batch", default=8, show_default=True, help="Rows of a batch.")
@click.option("--length", default=32, show_default=True, help="Tokens of a row.")
@click.option("--rate", default=1e-3, show_default=True, help="Adam's learning rate.")
@click.option("--clip", default=1.0, show_default=True, help="Bound of the global gradient norm.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights, batches and draws.")
@click.option(
    "--device", default="cpu", show_default=True, help="Where the frameworks run; NumPy stays on the cpu."
)
@click.option("--prompt", default=PROMPT, show_default=True, help="The text that each backend continues.")
@click.option("--max-tokens", default=40, show_default=True, help="The most new tokens; 0 compares no text.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
@takes(BackendsRequest)
def command(request: BackendsRequest) -> None:
    """Train one model in several backends and compare them.

    Each backend is compared with the first one: logits, loss, gradients, updates and text. Where float32
    differs by more than 1e-5, the same run in float64 shows if that is rounding. Exit code 1 where a
    difference is no rounding, or is past the --tolerance that you gave, or a text differs.
    """
    if request.steps < 1 or not (request.tolerance is None or request.tolerance > 0):
        raise MinilmError("--steps must be at least 1 and --tolerance above 0")
    comparison = _prepare(request)
    total = request.steps * (len(comparison.models) - 1)
    steps = list(show_progress(comparison.train(), total, "comparing"))
    texts = list(comparison.write(request.prompt, request.max_tokens)) if request.max_tokens > 0 else []
    verdicts = _judge(comparison, request, steps)
    if request.as_lines:
        _print_lines(steps, verdicts, texts)
    else:
        console.write(comparison_table(verdicts, texts), sys.stdout)
    equal = all(verdict.equal for verdict in verdicts) and all(text.parts_at is None for text in texts)
    click.get_current_context().exit(0 if equal else 1)


def _judge(comparison: Comparison, request: BackendsRequest, steps: list[ParityStep]) -> list[Verdict]:
    """Judge the steps; a second run in float64 judges rounding, unless the user gave a tolerance."""
    if request.tolerance is not None:
        return judge_backends(steps, request.tolerance)
    verdicts = judge_backends(steps)
    if request.dtype != "float32" or all(verdict.equal for verdict in verdicts):
        return verdicts
    total = request.steps * len(comparison.models)
    exact = show_progress(comparison.measure_rounding(), total, "the same in float64")
    return judge_backends(steps, exact=exact)


def _prepare(request: BackendsRequest) -> Comparison:
    return prepare_comparison(
        [name.strip() for name in request.names.split(",")] if request.names else None,
        request.steps,
        files=request.files,
        folder=request.folder,
        sizes=(request.embedding, request.hidden, request.layers),
        rows=request.batch,
        length=request.length,
        rate=request.rate,
        clip=request.clip,
        seed=request.seed,
        dtype=request.dtype,
        device=request.device,
    )


def _print_lines(steps: Iterable[ParityStep], verdicts: Iterable[Verdict], texts: Iterable[TextPair]) -> None:
    for step in steps:
        click.echo(dumps({"parity": as_json(step)}))
    for text in texts:
        click.echo(dumps({"text": {**as_json(text), "parts_at": text.parts_at}}))
    for verdict in verdicts:
        click.echo(dumps({"verdict": {**as_json(verdict), "equal": verdict.equal}}))
