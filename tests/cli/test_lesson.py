"""minilm lesson: from an installed package to points, and nothing of a student's lost on the way."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minilm.cli.lesson import command
from minilm.errors import MinilmError
from minilm.grading import course

ROOT = Path(__file__).resolve().parents[2]
NAMES = [path.parent.name for path in sorted((ROOT / "lessons").glob("*/lesson.py"))]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lesson(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def minilm(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-X", "utf8", "-P", "-c", "import minilm.cli; minilm.cli.main()", *words]
    return subprocess.run(line, capture_output=True, encoding="utf-8", check=False)


def test_list_names_every_lesson_with_its_title():
    lines = lesson("list").output.splitlines()
    assert [line.split()[0] for line in lines[: len(NAMES) + 1]] == ["one_page", *NAMES]
    assert lines[1].endswith("Text to ids")


@pytest.mark.parametrize("name", ["1", "01", "01_text_to_ids", "text_to_ids"])
def test_a_lesson_is_found_by_name_and_number(name):
    assert course.find_lesson(name).name == "01_text_to_ids"


def test_start_copies_all_but_the_solution():
    assert lesson("start", "2").exit_code == 0
    made = sorted(path.name for path in Path("02_train_one_lstm").iterdir())
    assert made == ["exercise.py", "lesson.py", "test_exercise.py"]


def test_start_takes_a_folder_of_ones_own():
    output = lesson("start", "3", "meine Übung/drei").output
    assert "minilm lesson check" in output
    assert (Path("meine Übung/drei") / "exercise.py").is_file()


def test_start_one_page_copies_both_programs():
    lesson("start", "one_page", "pages")
    assert sorted(path.name for path in Path("pages").iterdir()) == [
        "one_page_tensorflow.py",
        "one_page_torch.py",
    ]


def test_start_never_overwrites():
    lesson("start", "1")
    work = Path("01_text_to_ids/exercise.py")
    work.write_text("my work", encoding="utf-8")
    with pytest.raises(MinilmError, match="exists already; name another folder"):
        lesson("start", "1")
    assert work.read_text(encoding="utf-8") == "my work"


@pytest.mark.parametrize("name", ["", "4", "0", "nonsense", "page", "../lessons"])
def test_an_unknown_lesson_is_answered_with_the_known_ones(name):
    with pytest.raises(MinilmError, match="the lessons are one_page, 01_text_to_ids"):
        lesson("start", name)


def test_check_grades_and_says_with_its_exit_code_whether_all_is_done():
    lesson("start", "3", "work")
    before = minilm("lesson", "check", "work")
    assert before.stdout.splitlines()[-1] == "0/10 points; next: task 3.1"
    assert before.returncode == 1
    shutil.copyfile(ROOT / "lessons" / "03_watch_it_think" / "solution.py", "work/exercise.py")
    after = minilm("lesson", "check", "work")
    assert after.stdout.splitlines()[-1] == "10/10 points; all tasks done"
    assert after.returncode == 0


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
def test_check_names_a_file_that_hides_ours(name, monkeypatch):
    lesson("start", "1", "work")
    Path(f"work/{name}.py").touch()
    monkeypatch.chdir("work")
    run = minilm("lesson", "check")
    assert run.returncode == 2
    assert run.stderr.strip().startswith(f"ERROR: {Path.cwd() / name}.py hides the package {name}")


def test_check_of_a_folder_without_an_exercise_is_one_line():
    run = minilm("lesson", "check", "nowhere")
    assert run.returncode == 2
    assert run.stderr == (
        "minilm: nowhere holds no test_exercise.py; begin a lesson with: minilm lesson start 1\n"
    )


def test_check_without_pytest_says_what_to_install(monkeypatch):
    lesson("start", "1", "work")
    monkeypatch.setattr(course, "find_spec", lambda name: None)
    with pytest.raises(MinilmError, match="pip install pytest"):
        lesson("check", "work")


def test_notebooks_are_built_where_asked():
    lesson("notebooks", "--out", "mine")
    assert sorted(path.stem for path in Path("mine").iterdir()) == NAMES


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("setuptools"), reason="builds a wheel with this setuptools")
def test_an_installed_wheel_starts_a_lesson_and_makes_nothing_else_importable(tmp_path):
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("minilm", "tokenizer", "lessons"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    (source / "README.md").touch()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps"]
    subprocess.run(
        [*pip, "--no-build-isolation", "--target", target, source], check=True, capture_output=True
    )
    assert {path.parent.name for path in target.glob("*/*.py")} == {"minilm", "tokenizer"}
    code = "import minilm.cli; print(minilm.__file__); minilm.cli.main()"
    environment = {**os.environ, "PYTHONPATH": str(target)}
    run = subprocess.run(
        [sys.executable, "-c", code, "lesson", "start", "1"],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=True,
    )
    assert run.stdout.startswith(str(target))
    assert Path("01_text_to_ids/exercise.py").is_file()
