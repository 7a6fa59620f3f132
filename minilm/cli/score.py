"""minilm score: show how well a model predicts a given text, token by token."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click

from minilm.cli.options.model import ModelOptions, model_options
from minilm.cli.options.picture import PictureFile
from minilm.cli.options.request import takes
from minilm.cli.options.text_files import TextCommand
from minilm.errors import MinilmError
from minilm.faces import text as text_face
from minilm.faces.scores import score_table, score_total
from minilm.generation.score import TextScore, TokenScore, total
from minilm.trace.json import as_json, dumps
from minilm.training.corpus import STANDARD_INPUT, find_texts, read_text

__all__ = ["ScoreRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(ModelOptions):
    """The options of `minilm score`.

    Attributes:
        text: The text to score, "-" for standard input, or None where files hold it.
        file: UTF-8 files, folders or patterns; what they hold is scored as one text.
        top: How many candidates each record keeps.
        summary: Show the sums alone; no token is kept.
        plot: A .png or .svg file for a picture of the surprisal, or None.
        as_lines: Print JSON lines instead of a table.
    """

    text: str | None
    file: tuple[str, ...]
    top: int
    summary: bool
    plot: str | None
    as_lines: bool


@click.command(
    cls=TextCommand,
    epilog="Example: minilm score 'Once upon a time there was a little fox.'\n\n\b\n"
    "In Python: minilm.open().score('Once upon a time there was a little fox.')",
)
@click.argument("text", required=False)
@model_options
@click.option(
    "--file", multiple=True, metavar="FILE ...", help="Score UTF-8 files, folders, patterns instead."
)
@click.option("--top", default=5, show_default=True, help="How many candidates to record.")
@click.option("--summary", is_flag=True, help="The sums alone, for a long text; nothing is kept.")
@click.option(
    "--plot",
    type=PictureFile(),
    metavar="FILE",
    help="Draw surprisal over the text into a .png or .svg file.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
@takes(ScoreRequest)
def command(request: ScoreRequest) -> None:
    """Score TEXT: surprisal, rank and candidates of every token; perplexity per token and per byte."""
    if request.summary and request.plot is not None:
        raise MinilmError("--summary keeps no tokens, so there is nothing to --plot; leave one of them out")
    text = _text_of(request)
    opened = request.open()
    ids = opened.codec.encode(text, special=True) if text else []
    records = opened.score(ids, top=1 if request.summary else request.top)
    if request.summary:
        _print_summary(records, len(ids), request.as_lines)
        return
    tokens = list(_printed(records) if request.as_lines else records)
    if request.as_lines:
        print(_end(total(tokens)))
    else:
        text_face.write(score_table(tokens), sys.stdout, end="\n\n")
        text_face.write(score_total(total(tokens)), sys.stdout)
    if request.plot is not None:
        # Only --plot needs matplotlib, which takes a second to load.
        from minilm.faces.plots import plot_surprisal, save_picture

        click.echo(f"wrote {save_picture(plot_surprisal(tokens), request.plot)}", err=True)


def _text_of(request: ScoreRequest) -> str:
    if (request.text is None) == (not request.file):
        raise MinilmError("minilm score takes a TEXT (- for standard input) or a --file FILE, one of the two")
    if request.text is not None and request.text != STANDARD_INPUT:
        return request.text
    return "".join(map(read_text, find_texts(request.file or (STANDARD_INPUT,))))


def _print_summary(records: Iterator[TokenScore], length: int, as_lines: bool) -> None:
    with click.progressbar(records, length, label="tokens scored", file=sys.stderr) as shown:
        sums = total(shown)
    text_face.write(_end(sums) if as_lines else score_total(sums), sys.stdout)


def _printed(records: Iterator[TokenScore]) -> Iterator[TokenScore]:
    for record in records:
        print(dumps(as_json(record)))
        yield record


def _end(sums: TextScore) -> str:
    return dumps({"end": as_json(sums) | {"per_token": sums.per_token, "per_byte": sums.per_byte}})
