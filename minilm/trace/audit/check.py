"""The audit of a trace: read it line by line, and name every line that cannot be part of an honest run.

What a line must look like is in trace/validate.py. Checks within a step are in step.py, checks between lines
in lines.py. A line is read, checked and dropped, so the audit needs little memory however long the file is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.records import Step
from minilm.trace.audit.lines import Names, check_against_start, check_order, check_vocabulary
from minilm.trace.audit.step import check_step
from minilm.trace.reader import read_rows, step_from_json
from minilm.trace.validate import parse_line

__all__ = ["Violation", "check_trace"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a line of a trace breaks.

    Attributes:
        line: Number of the line, from 1, as an editor counts.
        identity: Name of the rule.
        what: What is wrong, with the numbers.
    """

    line: int
    identity: str
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.identity}: {self.what}"


def check_trace(path: str | Path) -> Iterator[Violation]:
    """Yield every violation in a file, in the order of its lines.

    Args:
        path: The trace.

    Raises:
        MinilmError: The file cannot be read.
    """
    run, number, place = _Run(), 0, "Its value"
    for number, row in read_rows(path):
        try:
            line = parse_line(row, place)
        except MinilmError as error:
            yield Violation(number, "strict JSON", str(error).removeprefix(f"{place}: "))
            continue
        if run.end is not None or ("start" in line) != (number == 1):
            yield Violation(number, "order", "the start is the first line and the end the last")
        yield from (Violation(number, identity, what) for identity, what in run.check_line(line))
    if run.end is None:
        yield Violation(number, "join", "the line that ends a trace is missing: the run was cut short")


@dataclass
class _Run:
    """All that the next line is checked against: the first line, the last step, ids and text so far."""

    start: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    last: Step | None = None
    names: Names = field(default_factory=Names)
    ids: list[int] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def check_line(self, line: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the identities that a line breaks, each with what is wrong, and remember the line."""
        if "start" in line:
            self.start = line["start"]
        elif "end" in line:
            self.end = line["end"]
            yield from (("join", what) for what in self._check_end(line["end"]))
        elif "vocabulary" in line:
            self.names.learn(line["vocabulary"])
            yield from (("names", what) for what in check_vocabulary(self.start, line["vocabulary"]))
        else:
            yield from self._check_step(step_from_json(line))

    def _check_step(self, step: Step) -> Iterator[tuple[str, str]]:
        yield from check_step(step)
        yield from (("join", what) for what in check_order(self.start, self.last, step))
        yield from (("names", what) for what in self.names.check(step))
        if self.start is not None:
            yield from check_against_start(self.start, step)
        self.last = step
        self.ids.append(step.decision.chosen.id)
        self.text.append(step.new_text)

    def _check_end(self, end: dict[str, Any]) -> Iterator[str]:
        finish = self.last.finish if self.last else None
        expected = {"ids": self.ids, "text": "".join(self.text), "steps": len(self.ids), "finish": finish}
        for name, value in expected.items():
            if end[name] != value:
                yield f"{name} of the end is not what the steps give"
