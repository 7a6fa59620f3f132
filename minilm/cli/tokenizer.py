"""minilm tokenizer: train a vocabulary, encode a text, and see merge by merge how it becomes ids."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minilm.cli.options.request import takes
from minilm.faces import console
from minilm.faces.layout import WIDTH, align, clip, wrap_line
from minilm.faces.visible import piece, quoted, visible_characters
from minilm.shadows import check_tokenizer
from minilm.trace.json import as_json, dumps

if TYPE_CHECKING:
    from tokenizer import Tokenizer
    from tokenizer.bpe import Explanation

__all__ = ["command"]

_model = click.option(
    "--model",
    metavar="PATH",
    help="A .model file or a model folder; the built-in Storyland model by default.",
)
_json = click.option("--json", "as_lines", is_flag=True, help="Print JSON lines instead of a table.")


@dataclass(frozen=True, kw_only=True)
class TrainTokenizerRequest:
    """The options of `minilm tokenizer train`.

    Attributes:
        files: the UTF-8 text files to learn from.
        out: where to write the model.
        vocab_size: how many pieces to learn.
        settings: lossless or nfkc.
        strict: refuse a vocabulary that is too large for the text.
        seed: which sample to take of a text above 50 MB.
    """

    files: tuple[str, ...]
    out: str
    vocab_size: int
    settings: str
    strict: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class ExplainTextRequest:
    """The options of `minilm tokenizer explain`.

    Attributes:
        text: the text to encode.
        model: a .model file or a model folder; None is the built-in model.
        as_lines: print JSON lines.
    """

    text: str
    model: str | None
    as_lines: bool

    def open(self) -> Tokenizer:
        """Open the tokenizer."""
        check_tokenizer()
        import tokenizer

        path = import_module("minilm.builtin").folder() if self.model is None else Path(self.model)
        return tokenizer.load(path / "tokenizer.model" if path.is_dir() else path)


@dataclass(frozen=True, kw_only=True)
class EncodeTextRequest(ExplainTextRequest):
    """The options of `minilm tokenizer encode`.

    Attributes:
        special: put BOS first.
    """

    special: bool


@click.group(
    epilog="Example: minilm tokenizer explain 'the little fox'\n\n\b\n"
    "In Python: minilm.open().codec.encode('the little fox')"
)
def command() -> None:
    """Train a tokenizer, encode with it, and see merge by merge how a text becomes ids."""


@command.command(
    "train",
    epilog="Example: minilm tokenizer train plays.txt --out plays.model --vocab-size 2000\n\n\b\n"
    "In Python: import tokenizer; tokenizer.train(['plays.txt'], out='plays.model', vocab_size=2000)",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--out", metavar="PATH", required=True, help="The new file for the model; it must not exist yet."
)
@click.option("--vocab-size", default=2000, show_default=True, help="How many pieces to learn.")
@click.option(
    "--settings",
    type=click.Choice(["lossless", "nfkc"]),
    default="lossless",
    show_default=True,
    help="lossless: every text decodes to itself; nfkc: folds runs of spaces and look-alike characters.",
)
@click.option("--strict", is_flag=True, help="Refuse a vocabulary that is too large, instead of lowering it.")
@click.option("--seed", default=0, show_default=True, help="Which sample to take of a text above 50 MB.")
@takes(TrainTokenizerRequest)
def learn_vocabulary(request: TrainTokenizerRequest) -> None:
    """Learn a SentencePiece BPE vocabulary from UTF-8 text files."""
    from rich.console import Console

    check_tokenizer()
    import tokenizer

    with Console(stderr=True).status("SentencePiece learns the vocabulary ..."):
        trained = tokenizer.train(
            request.files,
            vocab_size=request.vocab_size,
            settings=request.settings,
            strict=request.strict,
            seed=request.seed,
            out=request.out,
        )
    for notice in trained.notices:
        click.echo(f"note: {notice}", err=True)
    _print(f"{request.out}: {trained.vocab_size:,} pieces, {request.settings}, sha256 {trained.digest}")


@command.command(
    epilog="Example: minilm tokenizer encode 'the little fox'\n\n\b\n"
    "In Python: minilm.open().codec.encode('the little fox')"
)
@click.argument("text")
@_model
@click.option("--special", is_flag=True, help="Put BOS first, as the texts of the model begin.")
@_json
@takes(EncodeTextRequest)
def encode(request: EncodeTextRequest) -> None:
    """Show the ids of TEXT, each with its piece."""
    tokenizer = request.open()
    ids = tokenizer.encode(request.text, request.special)
    if request.as_lines:
        pieces = [tokenizer.piece(token_id) for token_id in ids]
        _print(dumps({"text": request.text, "ids": ids, "pieces": pieces}))
        return
    for line in _piece_table(tokenizer, ids):
        _print(line)


@command.command(
    "explain",
    epilog="Example: minilm tokenizer explain 'the little fox'\n\n\b\n"
    "In Python: from tokenizer.bpe import explain; explain('the little fox', minilm.open().codec)",
)
@click.argument("text")
@_model
@_json
@takes(ExplainTextRequest)
def print_merges(request: ExplainTextRequest) -> None:
    """Show how TEXT becomes ids, merge by merge.

    Of all neighbouring pairs, the pair that was learned first is merged first.
    """
    tokenizer = request.open()
    from tokenizer.bpe import explain as explain_text

    explanation = explain_text(request.text, tokenizer)
    for line in _as_json(explanation) if request.as_lines else _merge_table(explanation, tokenizer):
        _print(line)


def _as_json(explanation: Explanation) -> Iterator[str]:
    for merge in explanation.merges:
        yield dumps(as_json(merge))
    yield dumps({"end": {"text": explanation.text, "pieces": explanation.pieces, "ids": explanation.ids}})


def _merge_table(explanation: Explanation, tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the text in characters, a line per merge with the text so far, then pieces and ids."""
    yield clip(f"{quoted(explanation.text)}: {len(explanation.start)} characters", WIDTH)
    rows = [["merge", "rank", "pair", "", "text so far"], ["", "", "", "", _join_symbols(explanation.start)]]
    for merge, symbols in zip(explanation.merges, explanation.rows(), strict=True):
        left, right = (quoted(part) for part in merge.pair)
        rows.append([str(merge.order + 1), f"{merge.rank:g}", left, right, _join_symbols(symbols)])
    yield from (clip(line, WIDTH) for line in align(rows, "rrrll", gap=2))
    yield ""
    yield from _piece_table(tokenizer, explanation.ids)


def _piece_table(tokenizer: Tokenizer, ids: list[int]) -> Iterator[str]:
    """Yield a line per id with its piece, then all ids."""
    rows = [["id", "piece"], *([str(token_id), _write_piece(tokenizer, token_id)] for token_id in ids)]
    yield from align(rows, "rl", gap=2)
    yield from wrap_line(f"ids {' '.join(map(str, ids))}", WIDTH, "    ")


def _join_symbols(symbols: tuple[str, ...]) -> str:
    return "|".join("".join(visible_characters(symbol, extra="|\\")) for symbol in symbols)


def _write_piece(tokenizer: Tokenizer, token_id: int) -> str:
    raw = tokenizer.piece_bytes(token_id)
    return piece(raw.decode(errors="replace") if raw else tokenizer.piece(token_id), raw)


def _print(line: str) -> None:
    console.write(line, sys.stdout)
