"""minilm lesson: list the lessons, start one in a folder of your own, and check what you have done."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from minilm.grading import course

__all__ = ["command"]


@click.group(
    epilog="Example: minilm lesson list\n\n\b\n"
    "In Python: from minilm.grading import course; course.list_lessons()"
)
def command() -> None:
    """The course: list, start and check its lessons."""


@command.command(
    "list",
    epilog="Example: minilm lesson list\n\n\b\n"
    "In Python: from minilm.grading import course; course.list_lessons()",
)
def print_lessons() -> None:
    """Show every lesson."""
    for lesson in course.list_lessons():
        click.echo(f"{lesson.name:24} {lesson.title}")
    click.echo("\nStart one: minilm lesson start 1")


@command.command(
    "start",
    epilog="Example: minilm lesson start 1 my_first_lesson\n\n\b\n"
    "In Python: from pathlib import Path; from minilm.grading import course; "
    "course.start_lesson('1', Path('my_first_lesson'))",
)
@click.argument("name")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def start_in_folder(name: str, folder: Path | None) -> None:
    """Copy a lesson into a new FOLDER, to work in it.

    NAME is a name from `minilm lesson list`, or its number. Without FOLDER the new folder has the lesson's
    name. The solution is not copied.
    """
    started = course.start_lesson(name, folder)
    files = sorted(path.name for path in started.iterdir())
    click.echo(f"{started}: {', '.join(files)}")
    if "exercise.py" in files:
        click.echo(f"Read and run lesson.py, fill in exercise.py, then: minilm lesson check {started}")


@command.command(
    "check",
    epilog="Example: minilm lesson check my_first_lesson\n\n\b\n"
    "In Python: from pathlib import Path; from minilm.grading import course; "
    "course.check_lesson(Path('my_first_lesson'))",
)
@click.argument("folder", default=".", type=click.Path(path_type=Path))
def check_exercise(folder: Path) -> None:
    """Grade the exercise in FOLDER, and name the next task. This runs the code of the exercise."""
    sys.exit(course.check_lesson(folder))


@command.command(
    epilog="Example: minilm lesson notebooks --out my_notebooks\n\n\b\n"
    "In Python: from pathlib import Path; from minilm.grading import notebooks; "
    "notebooks.build_notebooks(Path('my_notebooks'))"
)
@click.option("--out", default="notebooks", show_default=True, type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace notebooks that have the same names.")
def notebooks(out: Path, overwrite: bool) -> None:
    """Build a Jupyter notebook from each lesson."""
    # nbformat takes a while to import.
    from minilm.grading.notebooks import build_notebooks

    for path in build_notebooks(out, overwrite):
        click.echo(path)
