"""minilm demo: the whole product in about a minute, from a corpus to a report that can be shown in class."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import click

from minilm.builtin import PROMPT, RECIPE
from minilm.errors import MinilmError
from minilm.faces.text import render, write
from minilm.workflows.demo import (
    STAGES,
    compare_start,
    generate,
    train_gpt2,
    train_lstm,
    write_text,
)
from minilm.workflows.demo_report import write_report

__all__ = ["command"]


@click.command(epilog="Example: minilm demo --out my-demo --steps 100")
@click.option("--out", metavar="DIR", help="A new folder for all that it makes; demo by default.")
@click.option("--steps", default=RECIPE.steps, show_default=True, help="Training steps of the LSTM.")
@click.option("--seed", default=0, show_default=True, help="Seed of stories, weights, batches and dice.")
def command(out: str | None, steps: int, seed: int) -> None:
    """The whole product in about a minute: train, watch every token, compare frameworks, report."""
    if steps < 20:
        raise MinilmError(f"--steps must be 20 or more, got {steps}")
    began = perf_counter()
    final = _free(out)
    with _complete(final) as folder:
        say = _Chapters(6)
        say("Stories, a tokenizer, and the entropy that no model can get below")
        ground = write_text(folder, seed)
        say.note(
            f"{ground.floor.per_token:.3f} nats per token is the floor; vocabulary {ground.codec.vocab_size}"
        )
        say("One LSTM in every installed framework, from the same weights on the same batches")
        start = compare_start(ground, seed)
        say.table(start.rows())
        say(f"Training on for {steps} steps in {start.best}")
        trained = train_lstm(folder, ground, start.best, steps, seed)
        say.note(trained.said(ground.floor))
        say(f"The streaming debugger: {PROMPT!r}, {STAGES}, in every framework")
        runs = {name: generate(folder, folder / "lstm", name, seed) for name in start.names}
        for step in next(iter(runs.values())).steps[:2]:
            say.note(render(step))
        say.note(_agreement({name: run.text for name, run in runs.items()}))
        say("A tiny GPT-2 of Hugging Face on the same text, under the same debugger")
        gpt2 = train_gpt2(folder, ground, seed)
        if gpt2 is not None:
            runs["hf gpt2"] = generate(folder, f"hf:{folder / 'gpt2'}", None, seed)
            say.note(render(runs["hf gpt2"].steps[0]))
        say("Pictures and the report")
        write_report(folder, ground, start, trained, gpt2, runs)
    say.note(f"Done in {perf_counter() - began:.0f} s. Open {final / 'report.html'} in a browser; then try:")
    say.note(f"  minilm generate --model {final / 'lstm'} --prompt 'One day' --live")
    if gpt2 is not None:
        say.note(f"  minilm generate --model hf:{final / 'gpt2'} --prompt 'One day'")
    say.note(f"  minilm generate --model {final / 'lstm'} --backend numpy --show full --max-tokens 3")


class _Chapters:
    """Says what is going on: numbered chapters, and notes below them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0

    def __call__(self, title: str) -> None:
        self._number += 1
        write(f"\n[{self._number}/{self._count}] {title}", sys.stdout)

    def note(self, line: str) -> None:
        write(line, sys.stdout)

    def table(self, rows: list[list[str]]) -> None:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            self.note("  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


def _agreement(texts: dict[str, str]) -> str:
    first = next(iter(texts.values()))
    if all(text == first for text in texts.values()):
        return f"The same text in {', '.join(texts)}: {first!r}"
    return "\n".join(f"{name}: {text!r}" for name, text in texts.items())


def _free(out: str | None) -> Path:
    """The folder to make: the one named, which must be new, or the first of demo, demo-2, ..."""
    if out is not None:
        if Path(out).exists():
            raise MinilmError(f"--out {out} exists already; name a new folder, or remove it")
        return Path(out)
    number = 1
    while (folder := Path("demo" if number == 1 else f"demo-{number}")).exists():
        number += 1
    return folder


@contextmanager
def _complete(final: Path) -> Iterator[Path]:
    """A folder that is there whole or not at all: filled beside its place, then renamed into it."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    except OSError as error:
        raise MinilmError(
            f"{final} cannot be made: {error.strerror}; choose another place with --out"
        ) from error
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
