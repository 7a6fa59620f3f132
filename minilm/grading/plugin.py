"""The pytest plugin of the course: it counts points, and cuts failures to the student's own lines.

A graded test carries `@pytest.mark.points(3, task="2.1")`. A marker `points` with other arguments belongs to
another project. In a run without graded tests the plugin does nothing, and loads nothing but itself.

The exercise runs in pytest's own process, without protection. That is right for a student's own work; it is
not a way to grade the work of strangers.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from minilm.grading.points import Result

__all__ = ["minilm_exercise"]

MARKER = "points(number, task): what a passing test earns, and the task that it belongs to (minilm)"
PROPERTY = "minilm_points"  # points travel with each report, so that they arrive from pytest-xdist's workers


@pytest.fixture(scope="module")
def minilm_exercise(request: pytest.FixtureRequest) -> ModuleType:
    """The student's exercise.py from the folder of the test file, as a module."""
    path = request.path.with_name("exercise.py")
    spec = importlib.util.spec_from_file_location("exercise", path)
    if not path.is_file() or spec is None or spec.loader is None:
        pytest.fail(f"exercise.py is missing in {path.parent}", pytrace=False)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        pytest.fail(f"exercise.py, line {error.lineno}, is not Python: {error.msg}", pytrace=False)
    return module


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and begin to count points."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(Scoreboard(), "minilm_scoreboard")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop where a student's file would be imported instead of minilm or tokenizer."""
    places = [Path(argument.split("::")[0]).resolve() for argument in session.config.args]
    folders = [place if place.is_dir() else place.parent for place in places]
    exercises = [file for folder in folders for file in folder.glob("exercise.py")]
    exercises += [file for folder in folders for file in folder.glob("*/exercise.py")]
    lessons = [file.parent for file in exercises if _has_graded_tests(file.parent)]
    if lessons:
        from minilm.shadows import find_shadows

        if messages := find_shadows([*lessons, Path.cwd()]):
            raise pytest.UsageError(*messages)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Cut the report of a failed graded test; --full-trace shows everything."""
    report = yield
    cut = points_and_task(item) is not None and not item.config.getoption("fulltrace")
    if cut and report.failed and call.excinfo is not None:
        report.longrepr = _student_lines(call.excinfo, item.path.with_name("exercise.py"))
    return report


class Scoreboard:
    """Hooks that collect the points of one run, and print them at its end."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the points of every graded test, also of those that may never run."""
        for item in items:
            worth = points_and_task(item)
            if worth is not None:
                item.user_properties.append((PROPERTY, worth))
                self._result(item.nodeid, worth)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a graded test ended; a failure in its set-up or clean-up loses its points."""
        worth: Any = dict(report.user_properties).get(PROPERTY)
        if worth is not None and (report.when == "call" or report.outcome != "passed"):
            self._result(report.nodeid, worth).outcome = report.outcome

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Print the score after pytest's own last line."""
        yield
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal and self.results:
            from minilm.grading.points import score_line

            terminal.write_line(score_line(self.results.values()))

    def _result(self, nodeid: str, worth: tuple[float, str]) -> Result:
        from minilm.grading.points import Result

        return self.results.setdefault(nodeid, Result(*worth))


def points_and_task(item: pytest.Item) -> tuple[float, str] | None:
    """Return what a graded test is worth and its task; None for any other test.

    Only a number together with a task is a marker of ours: `points(4)` belongs to another project.
    """
    mark = item.get_closest_marker("points")
    if mark is None or len(mark.args) > 2:
        return None
    given = {**dict(zip(("number", "task"), mark.args, strict=False)), **mark.kwargs}
    number, task = given.pop("number", None), given.pop("task", None)
    return (number, task) if isinstance(number, int | float) and isinstance(task, str) and not given else None


def _has_graded_tests(folder: Path) -> bool:
    """Return True where a folder's test_exercise.py carries a points marker with a task."""
    tests = folder / "test_exercise.py"
    text = tests.read_text(encoding="utf-8", errors="replace") if tests.is_file() else ""
    return re.search(r"mark\.points\([^)]*task *=", text) is not None


def _student_lines(failure: pytest.ExceptionInfo[BaseException], exercise_file: Path) -> str:
    """Return the student's lines on the way to the failure, then the failure itself."""
    entries = [entry for entry in failure.traceback if Path(entry.path) == exercise_file]
    lines = [f"exercise.py:{e.lineno + 1}: in {e.name}\n    {str(e.statement).strip()}" for e in entries]
    return "\n".join([*lines, failure.exconly(tryshort=True)])
