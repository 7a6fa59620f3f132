"""The course on disk: where its lessons are, a fresh copy of a lesson to work in, and grading it.

A lesson is a folder with lesson.py, exercise.py, test_exercise.py and solution.py. In a checkout the lessons
are beside the package; a wheel installs them as data under share/minilm. They are copied and run, never
imported.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from minilm.atomic import write_folder
from minilm.errors import MinilmError

__all__ = ["Lesson", "check_lesson", "find_course_folder", "find_lesson", "list_lessons", "start_lesson"]

# The files that a student gets; the solution is not among them.
COPIED = ("lesson.py", "exercise.py", "test_exercise.py")

# The name of the programs that have no exercise.
ONE_PAGE = "one_page"


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        name: The name of its folder, such as "01_text_to_ids".
        title: The first heading of its text.
        files: The files that a student gets.
    """

    name: str
    title: str
    files: tuple[Path, ...]


def find_course_folder() -> Path:
    """Return the folder lessons/ of this installation.

    Raises:
        MinilmError: This installation has no lessons.
    """
    packages = Path(__file__).resolve().parents[2]
    roots = [packages, Path(sysconfig.get_path("data")), Path(site.getuserbase())]
    candidates = [packages / "lessons", *(root / "share" / "minilm" / "lessons" for root in roots)]
    for folder in candidates:
        if (folder / "README.md").is_file():
            return folder
    raise MinilmError(f"The lessons are missing from this installation, looked in {candidates[0]}; reinstall")


def list_lessons() -> list[Lesson]:
    """Return the one-page programs first, then every lesson in order."""
    folder = find_course_folder()
    pages = tuple(sorted(folder.glob(f"{ONE_PAGE}_*.py")))
    lessons = [Lesson(ONE_PAGE, "The whole path on one page, in PyTorch and in TensorFlow", pages)]
    for script in sorted(folder.glob("*/lesson.py")):
        files = tuple(script.with_name(name) for name in COPIED)
        lessons.append(Lesson(script.parent.name, _read_title(script), files))
    return lessons


def _read_title(script: Path) -> str:
    """Return the first heading of a lesson's text, or the name of its folder."""
    lines = script.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# # ") for line in lines if line.startswith("# # ")), script.parent.name)


def find_lesson(name: str) -> Lesson:
    """Return a lesson by its name ("01_text_to_ids", "text_to_ids") or its number ("1", "01").

    Raises:
        MinilmError: There is no such lesson.
    """
    lessons = list_lessons()
    for lesson in lessons:
        number, _, rest = lesson.name.partition("_")
        if name in (lesson.name, number, number.lstrip("0")) or (name == rest and number.isdigit()):
            return lesson
    names = ", ".join(lesson.name for lesson in lessons)
    raise MinilmError(f"There is no lesson {name!r}; the lessons are {names}")


def start_lesson(name: str, folder: Path | None = None) -> Path:
    """Copy a lesson, without its solution, into a new folder.

    Args:
        name: The lesson's name or number.
        folder: The new folder; None for one with the lesson's name, in the working directory.

    Returns:
        The folder.

    Raises:
        MinilmError: There is no such lesson, or the folder exists already (so no work is overwritten).
    """
    lesson = find_lesson(name)
    folder = Path(lesson.name) if folder is None else folder
    if os.path.lexists(folder):
        advice = f"name another folder: minilm lesson start {name} FOLDER"
        raise MinilmError(f"{folder} exists already; {advice}")
    write_folder(folder, {file.name: file.read_bytes() for file in lesson.files})
    return folder


def check_lesson(folder: Path) -> int:
    """Run pytest on the exercise in a folder; it prints to the terminal.

    Args:
        folder: The folder that holds exercise.py and test_exercise.py.

    Returns:
        0 where every task is done, 1 where points are missing, 2 where nothing could be graded.

    Raises:
        MinilmError: The folder has no test_exercise.py, or pytest is not installed.
    """
    if not (folder / "test_exercise.py").is_file():
        raise MinilmError(f"{folder} holds no test_exercise.py; begin a lesson with: minilm lesson start 1")
    if not find_spec("pytest"):
        raise MinilmError("Checking needs pytest, which is not installed; run: pip install pytest")
    # -P: a file of the student's in the working directory is not imported instead of a module of Python.
    options = ["-q", "--no-header", "-p", "no:cacheprovider"]
    command = [sys.executable, "-P", "-m", "pytest", *options, str(folder)]
    return {0: 0, 1: 1}.get(subprocess.run(command, check=False).returncode, 2)
