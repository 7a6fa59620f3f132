"""Points of an exercise: what each graded test is worth, and the line that sums them up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Result", "score_line"]


@dataclass
class Result:
    """One graded test.

    Attributes:
        points: What the test earns where it passes.
        task: The task that it belongs to, such as "2.1".
        outcome: "passed", "failed" or "skipped"; "" where the test never ran.
    """

    points: float
    task: str
    outcome: str = ""


def score_line(results: Iterable[Result]) -> str:
    """Return one line: the points earned, the points possible, and the first task that is still open.

    Skipped tests (a framework is not installed, for example) do not count; the line says so.

    >>> score_line([Result(3, "2.1", "passed"), Result(7, "2.2", "failed")])
    '3/10 points; next: task 2.2'
    >>> score_line([Result(3, "2.1", "passed"), Result(7, "2.2", "skipped")])
    '3/3 points; all tasks done; 7 points could not be graded here'
    """
    results = list(results)
    graded = [result for result in results if result.outcome != "skipped"]
    earned = sum(result.points for result in graded if result.outcome == "passed")
    possible = sum(result.points for result in graded)
    open_tasks = sorted({result.task for result in graded if result.outcome != "passed"}, key=_task_numbers)
    line = f"{earned}/{possible} points; "
    line += f"next: task {open_tasks[0]}" if open_tasks else "all tasks done"
    skipped = sum(result.points for result in results) - possible
    return line + (f"; {skipped} points could not be graded here" if skipped else "")


def _task_numbers(task: str) -> list[int]:
    """Return the numbers in a task's name, so that 2.9 is sorted before 2.10."""
    return [int(number) for number in re.findall(r"\d+", task)]
