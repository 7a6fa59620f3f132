"""Skip the examples in the docstrings of a framework's modules where the framework is not installed."""

from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "minilm"
# The name of a folder or module -> the packages that its modules import.
NEEDS = {"torch": ("torch",), "tensorflow": ("tensorflow",), "huggingface": ("torch", "transformers")}


@pytest.hookimpl(tryfirst=True)
def pytest_make_collect_report(collector: pytest.Collector) -> pytest.CollectReport | None:
    """Skip a module of minilm, and say which package it lacks."""
    path = collector.path
    if not isinstance(collector, pytest.File) or not path.is_relative_to(PACKAGE):
        return None
    for part in path.relative_to(PACKAGE).with_suffix("").parts:
        for package in NEEDS.get(part, ()):
            if find_spec(package) is None:
                reason = (str(path), 0, f"Skipped: {package} is not installed")
                return pytest.CollectReport(collector.nodeid, "skipped", reason, [])
    return None
