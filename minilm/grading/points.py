"""Counts the points of graded tests and ends a run with one line: what was earned, and the next task.

Silent where no test carries the marker `points`. Points travel with each report, so that they arrive from
pytest-xdist's workers too.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["MARKER", "Result", "Scoreboard", "score_line"]

MARKER = "points(number, task): what a passing test earns, and the task that it belongs to"
_PROPERTY = "minilm_points"


@dataclass
class Result:
    """One graded test: its points, its task, and how it ended ("" where it never ran)."""

    points: int
    task: str
    outcome: str = ""


def score_line(results: Iterable[Result]) -> str:
    """Points earned of those that could be graded here, and the first task that is still open.

    >>> score_line([Result(3, "2.1", "passed"), Result(7, "2.2", "failed")])
    '3/10 points; next: task 2.2'
    >>> score_line([Result(3, "2.1", "passed"), Result(7, "2.2", "skipped")])
    '3/3 points; all tasks done; 7 points could not be graded here'
    """
    results = list(results)
    graded = [result for result in results if result.outcome != "skipped"]
    possible = sum(result.points for result in graded)
    open_tasks = sorted({result.task for result in graded if result.outcome != "passed"}, key=_numbers)
    line = f"{sum(result.points for result in graded if result.outcome == 'passed')}/{possible} points; "
    line += f"next: task {open_tasks[0]}" if open_tasks else "all tasks done"
    left_out = sum(result.points for result in results) - possible
    return line + (f"; {left_out} points could not be graded here" if left_out else "")


class Scoreboard:
    """The hooks that gather the results of one run."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note what every test is worth, also of those that may never run."""
        for item in items:
            mark = item.get_closest_marker("points")
            if mark is not None:
                worth = _worth(*mark.args, **mark.kwargs)
                item.user_properties.append((_PROPERTY, worth))
                self.results[item.nodeid] = Result(*worth)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test earns its points by passing whole: a failure in set-up or clean-up loses them."""
        worth: Any = dict(report.user_properties).get(_PROPERTY)
        if worth is None:
            return
        result = self.results.setdefault(report.nodeid, Result(*worth))
        if report.when == "call" or report.outcome != "passed":
            result.outcome = report.outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """The closing line, after pytest's own."""
        yield
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal and self.results:
            terminal.write_line(score_line(self.results.values()))


def _numbers(task: str) -> list[int]:
    """The numbers in a task's name, so that 2.9 comes before 2.10."""
    return [int(number) for number in re.findall(r"\d+", task)]


def _worth(number: int, task: str) -> tuple[int, str]:
    return number, task
