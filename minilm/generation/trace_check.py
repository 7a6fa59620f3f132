"""The audit of a trace: the identities that every honest record of a run keeps, each with its line.

What a line must look like is in trace_schema.py, what a step owes to itself in trace_identities.py; here
is what the lines owe to one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.generation.trace_identities import check_step
from minilm.generation.trace_line import parse_line
from minilm.generation.trace_reading import step_of, trace_rows
from minilm.records import Step

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
    steps: list[Step] = []
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
            yield from (Violation(number, "join", what) for what in _end(steps, line["end"]))
        elif "vocabulary" not in line:
            step = step_of(line)
            found = [*check_step(step), *_sequence(start, steps[-1] if steps else None, step)]
            yield from (Violation(number, identity, what) for identity, what in found)
            steps.append(step)
    if end is None:
        yield Violation(number, "join", "the line that ends a trace is missing: the run was cut short")


def _sequence(start: dict[str, Any] | None, before: Step | None, step: Step) -> Iterator[tuple[str, str]]:
    """What a step owes to the one before it."""
    if before is None:
        if start and start["prompt_ids"] and start["prompt_ids"][-1] != step.id:
            yield "join", f"the prompt ends with id {start['prompt_ids'][-1]}, the first step read {step.id}"
        return
    owed = {
        "index": before.index + 1,
        "position": before.position + 1,
        "id": before.decision.chosen.id,
        "offset": before.offset + len(before.new_text.encode()),
    }
    for name, value in owed.items():
        if getattr(step, name) != value:
            yield "join", f"{name} is {getattr(step, name)}, {value} follows from the step before"
    if before.finish:
        yield "join", f"a step follows one that ended the text ({before.finish})"


def _end(steps: Sequence[Step], end: dict[str, Any]) -> Iterator[str]:
    """What the last line owes to all of them."""
    owed = {
        "ids": [step.decision.chosen.id for step in steps],
        "text": "".join(step.new_text for step in steps),
        "steps": len(steps),
        "finish": steps[-1].finish if steps else None,
    }
    for name, value in owed.items():
        if end[name] != value:
            yield f"{name} of the end is not what the steps give"
