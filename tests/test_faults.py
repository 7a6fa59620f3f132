"""The planted faults: each can still be planted, and a sample of them is found by the test that it names."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parent / "faults" / "run.py"
SPEC = importlib.util.spec_from_file_location("faults_run", PATH)
faults_run = importlib.util.module_from_spec(SPEC)
sys.modules["faults_run"] = faults_run
SPEC.loader.exec_module(faults_run)
FAULTS = faults_run.load()
SAMPLE = 20


@pytest.mark.parametrize("file", sorted({fault.file for fault in FAULTS}))
def test_every_fault_can_still_be_planted(file):
    problems = {fault.what: fault.problem() for fault in FAULTS if fault.file == file}
    assert {what: problem for what, problem in problems.items() if problem} == {}


def test_no_fault_is_listed_twice():
    planted = [(fault.file, fault.before, fault.after) for fault in FAULTS]
    assert len(set(planted)) == len(planted)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return faults_run.Copy(tmp_path_factory.mktemp("project"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults_run.sample(FAULTS, SAMPLE), ids=lambda fault: fault.what)
def test_a_sampled_fault_is_found_by_its_test(fault, copy):
    found = copy.finds(fault)
    lacking = re.search(r"(?m)^SKIPPED \[\d+\] \S+ (.*)", copy.said)
    if not found and lacking:
        pytest.skip(lacking[1])
    assert found


def test_a_change_that_breaks_nothing_is_not_called_found(copy):
    harmless = faults_run.Fault(
        "a comment", "minilm/dice.py", '"""', '"""', "tests/test_numerics.py::test_nothing"
    )
    assert harmless.problem()
    unchanged = faults_run.Fault(
        "one more blank line", "minilm/errors.py", "class MinilmError", "\nclass MinilmError",
        "tests/test_conditions.py",
    )  # fmt: skip
    assert not copy.finds(unchanged)
