"""Exercises grade as they should: red on the stubs, green on the solutions, between them what is earned."""

import ast
import doctest
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = {path.parent.name: path.parent for path in sorted((ROOT / "lessons").glob("*/lesson.py"))}
WRONG = [  # lesson, what is right in the solution, what is put there, the points that are left
    ("01_text_to_ids", "place += 2 if found else 1", "place += 1", "6/10 points; next: task 1.3"),
    ("01_text_to_ids", "min(joins)", "max(joins)", "8/10 points; next: task 1.5"),
    ("01_text_to_ids", "len(text), len(text.encode())", "len(text), 0", "9/10 points; next: task 1.1"),
    (
        "02_train_one_lstm",
        "(losses * mask).sum() / mask",
        "losses.sum() / mask",
        "9/10 points; next: task 2.1",
    ),
    ("02_train_one_lstm", "i, f, g, o = ", "i, g, f, o = ", "8/10 points; next: task 2.2"),
    ("02_train_one_lstm", "sum(np.sum(", "max(np.sum(", "8/10 points; next: task 2.3"),
    ("02_train_one_lstm", "/ (1 - beta1**step)", "", "7/10 points; next: task 2.4"),
    ("02_train_one_lstm", ") + epsilon", " + epsilon)", "8/10 points; next: task 2.4"),
    ("03_watch_it_think", "logits / temperature", "logits * temperature", "9/10 points; next: task 3.1"),
    ("03_watch_it_think", "p >= least", "p > least", "8/10 points; next: task 3.2"),
    ("03_watch_it_think", "- p[best_first]  #", "#", "8/10 points; next: task 3.3"),
    ("03_watch_it_think", "p = p[p > 0]", "p = p + 0", "9/10 points; next: task 3.4"),
    ("03_watch_it_think", 'side="right"', 'side="left"', "9/10 points; next: task 3.5"),
]
EACH = """
import sys, pytest
root, *folders = sys.argv[1:]
for folder in folders:
    print("=====", folder, flush=True)
    pytest.main(["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", root, folder])
"""

each_lesson = pytest.mark.parametrize("lesson", LESSONS.values(), ids=LESSONS)


def text(lesson: Path, name: str) -> str:
    return (lesson / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict[tuple[str, str], list[str]]:
    """(lesson, text of an exercise) -> what pytest said of it, all graded by one process of its own."""
    exercises = [
        (name, text(LESSONS[name], file)) for name in LESSONS for file in ("exercise.py", "solution.py")
    ]
    exercises += [(name, text(LESSONS[name], "solution.py").replace(a, b)) for name, a, b, _ in WRONG]
    folders = [tmp_path_factory.mktemp("my work ü") for _ in exercises]
    for (name, exercise), folder in zip(exercises, folders, strict=True):
        shutil.copyfile(LESSONS[name] / "test_exercise.py", folder / "test_exercise.py")
        (folder / "exercise.py").write_text(exercise, encoding="utf-8")
    command = [sys.executable, "-X", "utf8", "-c", EACH, str(folders[0].parent), *map(str, folders)]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=folders[0], check=True)
    outputs = re.split(r"(?m)^===== .*$", run.stdout)[1:]
    return dict(zip(exercises, (output.strip().splitlines() for output in outputs), strict=True))


def skip_without_oracle(lesson: Path) -> None:
    """Skip where torch cannot grade: the points of its tasks are then left out of the score."""
    if 'importorskip("torch")' in text(lesson, "test_exercise.py"):
        pytest.importorskip("torch", reason="torch is not installed, and grades some of the tasks")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lesson_{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each_lesson
def test_every_task_fails_on_the_stubs(lesson, graded):
    skip_without_oracle(lesson)
    output = graded[lesson.name, text(lesson, "exercise.py")]
    assert "passed" not in output[-2]
    assert output[-1] == f"0/10 points; next: task {lesson.name[1]}.1"


@each_lesson
def test_every_task_passes_on_the_solution(lesson, graded):
    skip_without_oracle(lesson)
    output = graded[lesson.name, text(lesson, "solution.py")]
    assert output[-1] == "10/10 points; all tasks done", output


@pytest.mark.parametrize(("name", "right", "wrong", "points"), WRONG)
def test_a_wrong_solution_gets_the_points_it_deserves(name, right, wrong, points, graded):
    skip_without_oracle(LESSONS[name])
    solution = text(LESSONS[name], "solution.py")
    assert right in solution
    output = graded[name, solution.replace(right, wrong)]
    assert output[-1] == points, output


@each_lesson
def test_stub_test_and_text_carry_the_same_task_numbers(lesson):
    stubs = re.findall(r'"""Task (\d\.\d)\.', text(lesson, "exercise.py"))
    assert stubs == [f"{lesson.name[1]}.{n}" for n in range(1, len(stubs) + 1)]
    assert re.findall(r'"""Task (\d\.\d)\.', text(lesson, "solution.py")) == stubs
    assert re.findall(r'NotImplementedError\("task (\d\.\d)"\)', text(lesson, "exercise.py")) == stubs
    assert sorted(set(re.findall(r'task="(\d\.\d)"', text(lesson, "test_exercise.py")))) == stubs
    assert sorted(set(re.findall(r"task\s(?:# )?(\d\.\d)\)", text(lesson, "lesson.py")))) == stubs


@each_lesson
def test_the_examples_in_the_stubs_hold_for_the_solution(lesson):
    stubs, solution = loaded(lesson / "exercise.py"), loaded(lesson / "solution.py")
    for found in doctest.DocTestFinder().find(stubs, globs=vars(solution)):
        said: list[str] = []
        doctest.DocTestRunner().run(found, out=said.append)
        assert not said, "".join(said)


@each_lesson
def test_a_stub_asks_for_the_same_arguments_as_the_solution(lesson):
    def signatures(name: str) -> dict[str, str]:
        functions = [node for node in ast.parse(text(lesson, name)).body if isinstance(node, ast.FunctionDef)]
        return {f.name: ast.unparse(f.args) for f in functions if not f.name.startswith("_")}

    assert signatures("exercise.py") == signatures("solution.py")


def test_pytest_grades_a_lesson_in_place():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "lessons/01_text_to_ids"]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, check=False)
    assert run.stdout.splitlines()[-1] == "0/10 points; next: task 1.1"


def test_the_wheel_carries_every_file_of_the_course():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = table["tool"]["setuptools"]["data-files"]
    carried = {path for globs in data.values() for glob in globs for path in ROOT.glob(glob)}
    course = {path for path in (ROOT / "lessons").rglob("*") if path.suffix in (".py", ".md")}
    assert course - {ROOT / "lessons" / "conftest.py"} == carried
    for target, globs in data.items():
        assert {f"share/minilm/{Path(glob).parent.as_posix()}" for glob in globs} == {target}
