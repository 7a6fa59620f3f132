"""minilm score: what a model makes of a given text, token by token."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from minilm.cli.options.model import model_options, open_model
from minilm.cli.options.text_files import text_of_file
from minilm.errors import MinilmError
from minilm.faces import text as text_face
from minilm.faces.scores import score_table, score_total
from minilm.generation.score import TextScore, TokenScore, score, total
from minilm.trace.json import as_json, dumps

__all__ = ["command"]


@click.command(epilog="Example: minilm score 'Once upon a time there was a little fox.'")
@click.argument("text", required=False)
@model_options
@click.option("--file", metavar="FILE", help="Score the text of a file (UTF-8) instead.")
@click.option("--top", default=5, show_default=True, help="How many candidates to record.")
@click.option("--summary", is_flag=True, help="The sums alone, for a long text; nothing is kept.")
@click.option("--plot", metavar="FILE", help="Draw surprisal over the text into a .png or .svg file.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
def command(
    text: str | None,
    source: str | None,
    backend: str | None,
    device: str,
    dtype: str,
    file: str | None,
    top: int,
    summary: bool,
    plot: str | None,
    as_lines: bool,
) -> None:
    """Score TEXT: surprisal, rank and candidates of every token; perplexity per token and per byte."""
    if summary and plot is not None:
        raise MinilmError("--summary keeps no tokens, so there is nothing to --plot; leave one of them out")
    given = _given(text, file)
    opened = open_model(source, backend, device, dtype)
    ids = opened.codec.encode(given, special=True) if given else []
    records = score(opened.model, opened.codec, ids, top=1 if summary else top)
    if summary:
        with click.progressbar(records, len(ids), label="tokens scored", file=sys.stderr) as shown:
            sums = total(shown)
        text_face.write(_end(sums) if as_lines else score_total(sums), sys.stdout)
        return
    tokens = list(_printed(records) if as_lines else records)
    if as_lines:
        print(_end(total(tokens)))
    else:
        text_face.write(score_table(tokens), sys.stdout, end="\n\n")
        text_face.write(score_total(total(tokens)), sys.stdout)
    if plot is not None:
        from minilm.faces.plots import save  # matplotlib, which only --plot needs
        from minilm.faces.plots.surprisal import surprisal

        click.echo(f"wrote {save(surprisal(tokens), plot)}", err=True)


def _given(text: str | None, file: str | None) -> str:
    if (text is None) == (file is None):
        raise MinilmError("minilm score takes a TEXT or a --file FILE, one of the two")
    return text or "" if file is None else text_of_file("--file", file, "utf-8")


def _printed(records: Iterator[TokenScore]) -> Iterator[TokenScore]:
    for record in records:
        print(dumps(as_json(record)))
        yield record


def _end(sums: TextScore) -> str:
    return dumps({"end": asdict(sums) | {"per_token": sums.per_token, "per_byte": sums.per_byte}})
