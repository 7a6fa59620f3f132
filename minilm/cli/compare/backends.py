"""What else minilm compare does than holding backends side by side: the options, and which mode is meant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from minilm import backends
from minilm.builtin import PROMPT
from minilm.comparison import ParityStep, TextPair, Verdict, compare_texts, judge_backends, train_side_by_side
from minilm.comparison.backends import create_models
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import comparison_table
from minilm.protocols import TextCodec
from minilm.records import Array, ModelConfig
from minilm.trace.json import as_json, dumps
from minilm.training.batches import Batch, Batches, encode_documents
from minilm.training.corpus import Corpus, from_files, from_storyland

__all__ = ["command", "mode_options", "run_mode"]

_OPTIONS = (
    click.argument("subjects", nargs=-1, metavar="[reference FILE.py | MODEL MODEL]"),
    click.option("--template", metavar="FRAMEWORK", help="Print a student's file: numpy, torch, tensorflow."),
    click.option("--seconds", default=60.0, show_default=True, help="How long a student's file may run."),
    click.option("--rows", is_flag=True, help="List the known differences between the frameworks, by name."),
    click.option("--with", "injected", metavar="ROWS", help="Switch rows on, by commas, and see them named."),
    click.option("--native", metavar="A,B", help="Explain the gap that two frameworks' own defaults leave."),
    click.option("--ladder", is_flag=True, help="Make them equal one correction at a time (see --native)."),
    click.option("--plot", metavar="FILE", help="Draw the ladder, as PNG or SVG."),
)


def mode_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the other modes to the command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_mode(options: dict[str, Any], as_lines: bool) -> int | None:
    """Run the mode that the options ask for; its exit code, or None where none of them is meant."""
    if options["template"]:
        from minilm.comparison.student.contract import make_template

        click.echo(make_template(options["template"]), nl=False)
        return 0
    if options["subjects"]:
        from minilm.cli.compare import student as compare_student

        return compare_student.run(options["subjects"], options, as_lines)
    if options["rows"] or options["injected"]:
        from minilm.cli.compare import defaults as compare_causes

        asked = options["injected"]
        return compare_causes.with_rows(asked, as_lines) if asked else compare_causes.show_rows()
    if options["plot"] and not options["ladder"]:
        raise MinilmError("--plot draws the ladder; give --ladder too")
    if options["native"] or options["ladder"]:
        from minilm.cli.compare import defaults as compare_native

        mode = compare_native.show_ladder if options["ladder"] else compare_native.explain
        return mode(options, as_lines)
    return None


STORIES = 200  # enough for the batches of a comparison, and read in a moment

VOCABULARY = 400


@dataclass(frozen=True)
class _Subject:
    """What is compared: sizes, weights (None: the seeded ones) and a tokenizer."""

    config: ModelConfig
    weights: dict[str, Array] | None
    codec: TextCodec


@click.command(
    epilog="Example: minilm compare --backends numpy,torch --steps 5\n\n"
    "A student's LSTM: minilm compare --template numpy > my_lstm.py; minilm compare reference my_lstm.py"
)
@mode_options
@click.option(
    "--backends", "names", help="Two or more, by commas, the reference first; all installed by default."
)
@click.option("--steps", default=20, show_default=True, help="Training steps to compare.")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option(
    "--tolerance", default=1e-5, show_default=True, help="Of a difference, times max(1, largest number)."
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
@click.option("--seed", default=0, show_default=True, help="Of weights, batches and dice.")
@click.option(
    "--device", default="cpu", show_default=True, help="Where the frameworks run; NumPy stays on the cpu."
)
@click.option("--prompt", default=PROMPT, show_default=True, help="What each goes on from, with equal dice.")
@click.option("--max-tokens", default=40, show_default=True, help="0 compares no text.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
@click.pass_context
def command(context: click.Context, names: str | None, as_lines: bool, **options: Any) -> None:
    """Hold backends side by side: logits, loss, gradients, updates and text, against the first one.

    With `reference FILE.py`, hold a student's LSTM (NumPy, PyTorch or TensorFlow) against the reference.
    The file is run, in a process of its own with a time limit, which is no sandbox. With --with, rows of
    --rows are switched on in one of two equal subjects, and named by what they do.

    Exit code 1 where a difference is past the tolerance, or a text parts.
    """
    code = run_mode(options, as_lines)
    if code is not None:
        context.exit(code)
    if options["steps"] < 1 or not options["tolerance"] > 0:
        raise MinilmError("--steps must be at least 1 and --tolerance above 0")
    listed = [name.strip() for name in names.split(",")] if names else backends.available()
    corpus = from_files(options["files"]) if options["files"] else from_storyland(STORIES, options["seed"], 1)
    subject = _subject(corpus, options)
    compared = create_models(
        listed, subject.config, options["dtype"], device=options["device"], weights=subject.weights
    )
    steps = list(
        _shown(_steps(compared, corpus, subject.codec, options), options["steps"] * (len(listed) - 1))
    )
    found, texts = judge_backends(steps, options["tolerance"]), _texts(compared, subject.codec, options)
    if as_lines:
        _print_lines(steps, found, texts)
    else:
        console.write(comparison_table(found, texts), sys.stdout)
    context.exit(0 if all(one.equal for one in found) and not any(_parts(one) for one in texts) else 1)


def _subject(corpus: Corpus, options: dict[str, Any]) -> _Subject:
    import tokenizer

    if options["folder"]:
        opened = backends.load(options["folder"], "numpy")
        codec = tokenizer.load(Path(options["folder"]) / "tokenizer.model")
        return _Subject(opened.config, dict(opened.weights()), codec)
    codec = tokenizer.train(lines=corpus.train, vocab_size=VOCABULARY)
    sizes = (options["embedding"], options["hidden"], options["layers"])
    return _Subject(ModelConfig(codec.vocab_size, *sizes, seed=options["seed"]), None, codec)


def _steps(
    compared: Sequence[Any], corpus: Corpus, codec: TextCodec, options: dict[str, Any]
) -> Iterator[ParityStep]:
    documents = encode_documents(codec, corpus.train)
    batches = Batches(documents, options["batch"], options["length"], options["seed"])
    chosen: Iterable[Batch] = (batches.batch(step) for step in range(options["steps"]))
    return train_side_by_side(compared, chosen, options["rate"], options["clip"])


def _shown(steps: Iterator[ParityStep], total: int) -> Iterator[ParityStep]:
    """The same records, with a progress bar on the terminal's standard error."""
    from rich.console import Console
    from rich.progress import track

    bar = Console(stderr=True)
    return islice(
        track(steps, "comparing", total, console=bar, transient=True, disable=not bar.is_terminal), None
    )


def _texts(compared: Sequence[Any], codec: TextCodec, options: dict[str, Any]) -> list[TextPair]:
    if options["max_tokens"] < 1:
        return []
    limit = options["max_tokens"]
    return list(compare_texts(compared, codec, options["prompt"], seed=options["seed"], max_tokens=limit))


def _parts(text: TextPair) -> bool:
    return text.parts_at is not None


def _print_lines(steps: Iterable[ParityStep], found: Iterable[Verdict], texts: Iterable[TextPair]) -> None:
    for step in steps:
        click.echo(dumps({"parity": as_json(step)}))
    for text in texts:
        click.echo(dumps({"text": {**as_json(text), "parts_at": text.parts_at}}))
    for verdict in found:
        click.echo(dumps({"verdict": {**as_json(verdict), "equal": verdict.equal}}))
