"""The committed notebooks are what the lessons build, byte for byte, and every lesson runs."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from minilm.errors import MinilmError
from minilm.grading.notebooks import build_notebooks, make_notebook, split_cells

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "lessons").glob("*/lesson.py"))

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.parent.name)


def test_the_committed_notebooks_equal_a_fresh_build(tmp_path):
    built = build_notebooks(tmp_path)
    assert [path.name for path in built] == [f"{script.parent.name}.ipynb" for script in SCRIPTS]
    assert sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")) == [path.name for path in built]
    for path in built:
        assert path.read_bytes() == (ROOT / "notebooks" / path.name).read_bytes(), "run: make notebooks"


@each_script
def test_a_notebook_is_valid_and_keeps_every_line_of_its_lesson(script):
    made = nbformat.reads(make_notebook(script.read_text(encoding="utf-8"), "lesson"), as_version=4)
    nbformat.validate(made)
    lines = [line for cell in made.cells for line in cell.source.splitlines() if line]
    kept = [line for line in script.read_text(encoding="utf-8").splitlines() if line.strip("# ")]
    wanted = [line for line in kept if not line.startswith("# %%")]
    assert [line.strip("# ") for line in lines] == [line.strip("# ") for line in wanted]
    assert all(not cell.get("outputs") for cell in made.cells)
    assert len({cell.id for cell in made.cells}) == len(made.cells)


def test_cells_agree_with_jupytext():
    jupytext = pytest.importorskip("jupytext")
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        theirs = [(cell.cell_type, cell.source) for cell in jupytext.reads(text, fmt="py:percent").cells]
        assert split_cells(text) == theirs


def test_a_comment_in_code_stays_code():
    assert split_cells("# %%\n# a reason\nx = 1\n") == [("code", "# a reason\nx = 1")]


def test_a_changed_notebook_is_not_overwritten_unless_told(tmp_path):
    first = build_notebooks(tmp_path)[0]
    first.write_text("my notes", encoding="utf-8")
    with pytest.raises(MinilmError, match="exists and differs"):
        build_notebooks(tmp_path)
    assert first.read_text(encoding="utf-8") == "my notes"
    build_notebooks(tmp_path, overwrite=True)
    assert first.read_text(encoding="utf-8") != "my notes"


@pytest.mark.slow
@each_script
def test_a_lesson_runs_as_a_script(script, tmp_path):
    environment = {**os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, str(script)]
    run = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=tmp_path, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_a_notebook_runs_cell_by_cell():
    namespace = {"__name__": "__main__"}
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for kind, source in split_cells(SCRIPTS[0].read_text(encoding="utf-8")):
            if kind == "code":
                exec(compile(source, SCRIPTS[0].name, "exec"), namespace)
    assert "ids: " in shown.getvalue()


@pytest.mark.slow
def test_a_notebook_runs_in_a_kernel(tmp_path):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    made = nbformat.read(ROOT / "notebooks" / f"{SCRIPTS[0].parent.name}.ipynb", as_version=4)
    nbclient.NotebookClient(made, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code")
