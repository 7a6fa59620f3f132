"""The course on disk: where its lessons are, what they are called, a fresh copy of one to work in.

A lesson is a folder with lesson.py, exercise.py, test_exercise.py and solution.py. In a checkout the lessons
lie beside the package, from a wheel they come as data under share/minilm; they are never imported.
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

__all__ = ["Lesson", "check", "course_folder", "find", "lessons", "start"]

COPIED = ("lesson.py", "exercise.py", "test_exercise.py")  # the solution stays behind
ONE_PAGE = "one_page"


@dataclass(frozen=True)
class Lesson:
    """One lesson: its name, its title (the first heading of its text) and its files."""

    name: str
    title: str
    files: tuple[Path, ...]


def course_folder() -> Path:
    """The folder lessons/ of this installation. Raises MinilmError where it is missing."""
    packages = Path(__file__).resolve().parents[2]
    roots = [packages, Path(sysconfig.get_path("data")), Path(site.getuserbase())]
    candidates = [packages / "lessons", *(root / "share" / "minilm" / "lessons" for root in roots)]
    for folder in candidates:
        if (folder / "README.md").is_file():
            return folder
    raise MinilmError(f"The lessons are missing from this installation, looked in {candidates[0]}; reinstall")


def lessons() -> list[Lesson]:
    """The one-page programs first, then every lesson, in order."""
    folder = course_folder()
    pages = tuple(sorted(folder.glob(f"{ONE_PAGE}_*.py")))
    found = [Lesson(ONE_PAGE, "The whole path on one page, in PyTorch and in TensorFlow", pages)]
    for script in sorted(folder.glob("*/lesson.py")):
        files = tuple(script.with_name(name) for name in COPIED)
        found.append(Lesson(script.parent.name, _title(script), files))
    return found


def _title(script: Path) -> str:
    """The first heading of a percent script."""
    lines = script.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# # ") for line in lines if line.startswith("# # ")), script.parent.name)


def find(name: str) -> Lesson:
    """A lesson by its name, its name without the number, or its number. Raises MinilmError for any other."""
    known = lessons()
    for lesson in known:
        number, _, rest = lesson.name.partition("_")
        if name in (lesson.name, number, number.lstrip("0")) or (name == rest and number.isdigit()):
            return lesson
    names = ", ".join(lesson.name for lesson in known)
    raise MinilmError(f"There is no lesson {name!r}; the lessons are {names}")


def start(name: str, folder: Path | None = None) -> Path:
    """Copy a lesson, without its solution, into a new folder; returns the folder.

    The folder is called like the lesson unless given. One that exists is refused, so no work is overwritten.
    """
    lesson = find(name)
    folder = Path(lesson.name) if folder is None else folder
    if os.path.lexists(folder):
        advice = f"name another folder: minilm lesson start {name} FOLDER"
        raise MinilmError(f"{folder} exists already; {advice}")
    write_folder(folder, {file.name: file.read_bytes() for file in lesson.files})
    return folder


def check(folder: Path) -> int:
    """Run pytest on the exercise in a folder, its output on the terminal.

    Returns 0 where every task is done, 1 where points are missing, 2 where nothing could be graded.
    """
    if not (folder / "test_exercise.py").is_file():
        raise MinilmError(f"{folder} holds no test_exercise.py; begin a lesson with: minilm lesson start 1")
    if not find_spec("pytest"):
        raise MinilmError("Checking needs pytest, which is not installed; run: pip install pytest")
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    return {0: 0, 1: 1}.get(subprocess.run(command, check=False).returncode, 2)
