"""The audit of a trace: the identities that every honest record of a run keeps, each with its line.

What a line must look like is in trace_schema.py, what a step owes to itself in trace_identities.py, what the
lines owe to one another in trace_joins.py. A line is read, checked and dropped, however long the file is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.records import Step
from minilm.trace.audit.lines import Names, asked_owes, follows, vocabulary_owes
from minilm.trace.audit.step import check_step
from minilm.trace.reader import step_of, trace_rows
from minilm.trace.validate import parse_line

__all__ = ["Violation", "check_trace"]


@dataclass(frozen=True, slots=True)
class Violation:
    """An identity that a line breaks; line: from 1, as an editor counts."""

    line: int
    identity: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.identity}: {self.what}"


def check_trace(path: str | Path) -> Iterator[Violation]:
    """Every violation in a file, in order. Raises MinilmError where the file cannot be read."""
    start: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    run, names = _Run(), Names()
    number, place = 0, "Its value"
    for number, row in trace_rows(path):
        try:
            line = parse_line(row, place)
        except MinilmError as error:
            yield Violation(number, "strict JSON", str(error).removeprefix(f"{place}: "))
            continue
        if end is not None or ("start" in line) != (number == 1):
            yield Violation(number, "order", "the start is the first line and the end the last")
        if "start" in line:
            start = line["start"]
        elif "end" in line:
            end = line["end"]
            yield from (Violation(number, "join", what) for what in run.owed(line["end"]))
        elif "vocabulary" in line:
            names.learn(line["vocabulary"])
            yield from (
                Violation(number, "names", what) for what in vocabulary_owes(start, line["vocabulary"])
            )
        else:
            step = step_of(line)
            found = [*check_step(step), *_among_lines(start, run.last, step, names)]
            yield from (Violation(number, identity, what) for identity, what in found)
            run.add(step)
    if end is None:
        yield Violation(number, "join", "the line that ends a trace is missing: the run was cut short")


def _among_lines(
    start: dict[str, Any] | None, before: Step | None, step: Step, names: Names
) -> Iterator[tuple[str, str]]:
    """What a step owes to the other lines."""
    yield from (("join", what) for what in follows(start, before, step))
    yield from (("names", what) for what in names.owes(step))
    if start is not None:
        yield from asked_owes(start, step)


class _Run:
    """What the last line is held against: the ids and the text so far, and the last step alone."""

    def __init__(self) -> None:
        self.last: Step | None = None
        self._ids: list[int] = []
        self._text: list[str] = []

    def add(self, step: Step) -> None:
        self.last = step
        self._ids.append(step.decision.chosen.id)
        self._text.append(step.new_text)

    def owed(self, end: dict[str, Any]) -> Iterator[str]:
        """Where the last line is not what the steps give."""
        finish = self.last.finish if self.last else None
        owed = {"ids": self._ids, "text": "".join(self._text), "steps": len(self._ids), "finish": finish}
        for name, value in owed.items():
            if end[name] != value:
                yield f"{name} of the end is not what the steps give"
