"""A light pytest plugin for exercises: the student's file, points, and failures cut to the student's lines.

It runs the exercise in this very process and unguarded, as any test would: it is for one's own work, not
for judging the work of strangers. Silent and idle in every other test run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest

from minilm.grading.points import MARKER, Scoreboard
from minilm.grading.shadows import shadows

__all__ = ["exercise"]


@pytest.fixture(scope="module")
def exercise(request: pytest.FixtureRequest) -> ModuleType:
    """The student's exercise.py beside the test file, loaded from its path."""
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
    """Make the marker known and begin to count."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(Scoreboard())


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop where a file of the student's hides minilm or tokenizer, naming it."""
    places = [Path(arg.split("::")[0]).resolve() for arg in session.config.args]
    folders = [place if place.is_dir() else place.parent for place in places]
    patterns = ("exercise.py", "*/exercise.py")
    lessons = [file.parent for folder in folders for pattern in patterns for file in folder.glob(pattern)]
    if lessons and (messages := shadows([*lessons, Path.cwd()])):
        raise pytest.UsageError(*messages)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Cut a graded failure down; --full-trace shows everything."""
    report = yield
    graded = item.get_closest_marker("points") and not item.config.getoption("fulltrace")
    if graded and report.failed and call.excinfo is not None:
        report.longrepr = _cut(call.excinfo, item.path.with_name("exercise.py"))
    return report


def _cut(failure: pytest.ExceptionInfo[BaseException], exercise_file: Path) -> str:
    """The student's lines on the way to the failure, then the failure itself."""
    own = [entry for entry in failure.traceback if Path(entry.path) == exercise_file]
    lines = [f"exercise.py:{e.lineno + 1}: in {e.name}\n    {str(e.statement).strip()}" for e in own]
    return "\n".join([*lines, failure.exconly(tryshort=True)])
