"""Show the progress of long work on standard error (rich); of a training also rate, loss and remaining time.

The records pass through unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TypeVar

from minilm.records import TrainStep

__all__ = ["show_progress", "show_training"]

T = TypeVar("T")

_QUIET = 10.0  # seconds between two lines where there is no terminal


def show_training(steps: Iterable[TrainStep], total: int, label: str, start: int = 0) -> Iterator[TrainStep]:
    """Show a training as it goes on, and yield every step.

    Without a terminal, a line is printed every ten seconds instead of a bar.

    Args:
        steps: the training.
        total: the index of the last step.
        label: what the line says first.
        start: the steps that an earlier run has made.
    """
    show = _show_bar if sys.stderr.isatty() else _print_lines
    yield from show(steps, total, label, start)


def _show_bar(steps: Iterable[TrainStep], total: int, label: str, start: int) -> Iterator[TrainStep]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as progress:
        task = progress.add_task(label, total=total, completed=start, facts="")
        meter = _Meter()
        for step in steps:
            progress.update(task, completed=step.index, facts=meter.describe(step))
            yield step


def _print_lines(steps: Iterable[TrainStep], total: int, label: str, start: int) -> Iterator[TrainStep]:
    meter, began, last = _Meter(), perf_counter(), perf_counter()
    for step in steps:
        facts, now = meter.describe(step), perf_counter()
        if now - last > _QUIET or step.index == total:
            left = (now - began) / max(step.index - start, 1) * max(total - step.index, 0)
            print(f"{label} {step.index}/{total}  {facts}  {left:.0f} s left", file=sys.stderr, flush=True)
            last = now
        yield step


class _Meter:
    """Measures tokens per second since the first step, and smooths the loss over about twenty steps."""

    def __init__(self) -> None:
        self._began = perf_counter()
        self._tokens: int | None = None
        self._loss: float | None = None
        self._held_out = ""

    def describe(self, step: TrainStep) -> str:
        if self._tokens is None:
            self._tokens, self._began = step.tokens, perf_counter()
        self._loss = step.loss if self._loss is None else 0.95 * self._loss + 0.05 * step.loss
        if step.validation is not None:
            self._held_out = f"  validation {step.validation:.3f}"
        # In the first half second the rate is too uncertain to show.
        seconds = perf_counter() - self._began
        rate = f"{(step.tokens - self._tokens) / seconds:,.0f} tokens/s  " if seconds > 0.5 else ""
        return f"{rate}loss {self._loss:.3f}{self._held_out}"


def show_progress(records: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Hand records on, with a bar on the terminal's standard error; without a terminal, show nothing.

    Args:
        records: what is computed while the bar moves.
        total: how many records there will be.
        label: the word before the bar.
    """
    from rich.console import Console
    from rich.progress import track

    bar = Console(stderr=True)
    yield from track(records, label, total, console=bar, transient=True, disable=not bar.is_terminal)
