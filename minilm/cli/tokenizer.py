"""minilm tokenizer: train a vocabulary, encode a text, and see merge by merge how it becomes ids."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minilm.faces import console
from minilm.faces.layout import WIDTH, align, clip, wrap
from minilm.faces.visible import piece as written
from minilm.faces.visible import quoted, visible_characters
from minilm.trace.json import as_json, dumps

if TYPE_CHECKING:
    from tokenizer import Tokenizer
    from tokenizer.bpe import Explanation

__all__ = ["command"]

_model = click.option(
    "--model", metavar="PATH", help="A .model file, or a model folder; the built-in Storyland one by default."
)
_json = click.option("--json", "as_lines", is_flag=True, help="JSON lines instead of a table.")


@click.group(epilog="Example: minilm tokenizer explain 'the little fox'")
def command() -> None:
    """Train a tokenizer, encode with it, and see merge by merge how a text becomes ids."""


@command.command(epilog="Example: minilm tokenizer train plays.txt --out plays.model --vocab-size 2000")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--out", metavar="PATH", required=True, help="Where the model goes; it must not exist yet.")
@click.option("--vocab-size", default=2000, show_default=True, help="How many pieces to learn.")
@click.option(
    "--settings",
    type=click.Choice(["lossless", "nfkc"]),
    default="lossless",
    show_default=True,
    help="lossless: every text comes back; nfkc: folds runs of spaces and look-alikes.",
)
@click.option("--strict", is_flag=True, help="Refuse a vocabulary that is too large, instead of lowering it.")
@click.option("--seed", default=0, show_default=True, help="Of the sample taken above 50 MB.")
def train(files: tuple[str, ...], out: str, vocab_size: int, settings: str, strict: bool, seed: int) -> None:
    """Learn a SentencePiece BPE vocabulary from UTF-8 text files."""
    from rich.console import Console

    import tokenizer

    with Console(stderr=True).status("SentencePiece learns the vocabulary ..."):
        trained = tokenizer.train(
            files, vocab_size=vocab_size, settings=settings, strict=strict, seed=seed, out=out
        )
    for notice in trained.notices:
        click.echo(f"note: {notice}", err=True)
    _print(f"{out}: {trained.vocab_size:,} pieces, {settings}, sha256 {trained.digest}")


@command.command(epilog="Example: minilm tokenizer encode 'the little fox'")
@click.argument("text")
@_model
@click.option("--special", is_flag=True, help="Begin as the model's texts begin, with BOS.")
@_json
def encode(text: str, model: str | None, special: bool, as_lines: bool) -> None:
    """The ids of TEXT, each with its piece."""
    tokenizer = _open(model)
    ids = tokenizer.encode(text, special)
    if as_lines:
        _print(dumps({"text": text, "ids": ids, "pieces": [tokenizer.piece(number) for number in ids]}))
        return
    for line in align([["id", "piece"], *([str(i), _written(tokenizer, i)] for i in ids)], "rl", gap=2):
        _print(line)
    _print(_ids(ids))


@command.command(epilog="Example: minilm tokenizer explain 'the little fox'")
@click.argument("text")
@_model
@_json
def explain(text: str, model: str | None, as_lines: bool) -> None:
    """Show how TEXT becomes ids, merge by merge.

    Of all neighbours the pair that was learnt first is merged, then the next.
    """
    from tokenizer.bpe import explain as explained

    tokenizer = _open(model)
    explanation = explained(text, tokenizer)
    for line in _as_json(explanation) if as_lines else _table(explanation, tokenizer):
        _print(line)


def _open(model: str | None) -> Tokenizer:
    import tokenizer

    path = import_module("minilm.builtin").folder() if model is None else Path(model)
    return tokenizer.load(path / "tokenizer.model" if path.is_dir() else path)


def _as_json(explanation: Explanation) -> Iterator[str]:
    for merge in explanation.merges:
        yield dumps(as_json(merge))
    yield dumps({"end": {"text": explanation.text, "pieces": explanation.pieces, "ids": explanation.ids}})


def _table(explanation: Explanation, tokenizer: Tokenizer) -> Iterator[str]:
    """The text in characters, a line per merge with the text so far, then pieces and ids."""
    yield clip(f"{quoted(explanation.text)}: {len(explanation.start)} characters", WIDTH)
    rows = [["merge", "rank", "pair", "", "text so far"], ["", "", "", "", _parted(explanation.start)]]
    for merge, row in zip(explanation.merges, explanation.rows(), strict=True):
        left, right = (quoted(part) for part in merge.pair)
        rows.append([str(merge.order + 1), f"{merge.rank:g}", left, right, _parted(row)])
    yield from (clip(line, WIDTH) for line in align(rows, "rrrll", gap=2))
    yield ""
    rows = [["id", "piece"], *([str(i), _written(tokenizer, i)] for i in explanation.ids)]
    yield from align(rows, "rl", gap=2)
    yield from _ids(explanation.ids).split("\n")


def _parted(pieces: tuple[str, ...]) -> str:
    return "|".join("".join(visible_characters(piece, extra="|\\")) for piece in pieces)


def _written(tokenizer: Tokenizer, token_id: int) -> str:
    raw = tokenizer.piece_bytes(token_id)
    return written(raw.decode(errors="replace") if raw else tokenizer.piece(token_id), raw)


def _ids(ids: list[int]) -> str:
    return "\n".join(wrap(f"ids {' '.join(map(str, ids))}", WIDTH, "    "))


def _print(line: str) -> None:
    console.write(line, sys.stdout)
