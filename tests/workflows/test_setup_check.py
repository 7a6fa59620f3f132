"""check-setup: each backend is tried in a process of its own; what fails names the line that fixes it."""

import json
import sys

import pytest
from click.testing import CliRunner

from minilm.cli.check_setup import command
from minilm.workflows import setup_check
from minilm.workflows.setup_check import check_setup, try_backend


@pytest.fixture
def only(monkeypatch):
    """Try only the named backends."""

    def keep(*names):
        kept = {name: setup_check.FRAMEWORKS[name] for name in names}
        monkeypatch.setattr(setup_check, "FRAMEWORKS", kept)

    return keep


@pytest.fixture
def planted(monkeypatch, tmp_path, only):
    """A tensorflow that does what its source says; the real one is hidden."""
    only("tensorflow")
    monkeypatch.setattr(setup_check, "find_spec", lambda _: True)

    def plant(source):
        (tmp_path / "tensorflow.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return plant


def test_numpy_runs_and_says_its_version(only):
    only("numpy")
    *_, row = check_setup()
    assert row.ok
    assert "one training step" in row.detail


@pytest.mark.parametrize("name", ["torch", "hf"])
def test_one_step_runs_in_an_installed_framework(name):
    pytest.importorskip(setup_check.FRAMEWORKS[name][0])
    try_backend(name)


def test_a_missing_framework_names_the_extra_and_the_cpu_wheels(monkeypatch, only):
    only("torch")
    monkeypatch.setattr(setup_check, "find_spec", lambda _: None)
    monkeypatch.setattr(setup_check.platform, "system", lambda: "Linux")
    monkeypatch.setattr(setup_check.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    *_, row = check_setup()
    assert (row.ok, row.detail) == (False, "not installed")
    assert row.mend == (
        f'in the project\'s folder, run: "{sys.executable}" -m pip install -e ".[torch]" '
        "--extra-index-url https://download.pytorch.org/whl/cpu"
    )


def test_a_platform_without_wheels_is_sent_to_numpy_and_is_no_fault(monkeypatch, only):
    only("tensorflow")
    monkeypatch.setattr(setup_check, "find_spec", lambda _: None)
    monkeypatch.setattr(setup_check.platform, "machine", lambda: "riscv64")
    *_, row = check_setup()
    assert row.ok
    assert "--backend numpy" in row.detail


def test_a_framework_that_raises_is_reported_in_one_line_and_the_exit_code_is_1(planted):
    planted("raise ImportError('DLL load failed')")
    result = CliRunner().invoke(command, ["--json"])
    last = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1
    assert "does not run: " in last["detail"]
    assert "-m pip install" in last["mend"]


def test_a_framework_that_kills_its_process_is_reported(planted):
    planted("import os; os._exit(7)")
    *_, row = check_setup()
    assert not row.ok
    assert row.detail == "does not run: exit 7"


def test_a_framework_that_hangs_is_given_up(planted):
    planted("import time; time.sleep(60)")
    *_, row = check_setup(timeout=2)
    assert not row.ok
    assert row.detail == "one training step took longer than 2 s"


def test_all_well_is_exit_code_0(only):
    only("numpy")
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "Python",
        "platform",
        "console",
        "numpy",
    ]
