"""Loops in other people's styles: the doctor finds their own bug or nothing, and never harms them."""

import runpy

import pytest

torch = pytest.importorskip("torch")

from foreign_loops import LOOPS, SETUP  # noqa: E402 - after the skip

from minilm import doctor  # noqa: E402


def watch(source, folder):
    path = folder / "train.py"
    path.write_text(SETUP + source)
    with torch.random.fork_rng(), doctor.attach_torch() as watching:
        runpy.run_path(str(path))
    return watching


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LOOPS)
def test_a_foreign_loop_gets_its_own_finding_or_none(name, tmp_path):
    wanted, source = LOOPS[name]
    watching = watch(source, tmp_path)
    assert [finding.name for finding in watching.findings()] == ([wanted] if wanted else [])
    assert watching.failure == ""
    assert doctor.has_core(doctor.WatchedRun.of(watching.records))


def test_an_error_of_the_doctor_stays_in_the_doctor(monkeypatch, tmp_path):
    """The loop runs to its end, and the error is no finding."""
    monkeypatch.setattr("minilm.doctor.torch.watch.measure_step", lambda *_, **__: 1 / 0)
    watching = watch(LOOPS["two optimizers"][1], tmp_path)
    assert "ZeroDivisionError" in watching.failure
    assert watching.findings() == []
