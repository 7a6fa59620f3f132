"""Build the documentation site: `make docs` writes build/site, which opens from disk.

Nothing is written twice: the front page is README.md, the course comes from lessons/, the command line's
reference from `--help`, the API's from the docstrings.
"""

from __future__ import annotations

import argparse
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import mkdocs.commands.build
import mkdocs.config

from minilm.cli import command as minilm_command
from minilm.grading.notebooks import split_cells

ROOT = Path(__file__).resolve().parents[1]

# Page of the API reference -> the modules on it. A module's `__all__` says what is shown.
API = {
    "minilm: open, train, generate": ("minilm.workflows.open", "minilm.workflows.train"),
    "Records": ("minilm.records",),
    "Protocols": ("minilm.protocols",),
    "Sampling": (
        "minilm.sampling.stage",
        "minilm.sampling.scores",
        "minilm.sampling.parsing",
        "minilm.sampling.stages.common",
        "minilm.sampling.stages.truncation",
        "minilm.sampling.stages.repetition",
        "minilm.sampling.stages.words",
        "minilm.sampling.stages.length",
        "minilm.sampling.constraints.stage",
        "minilm.sampling.decide",
    ),
    "Generation": ("minilm.generation.cursor", "minilm.generation.session", "minilm.generation.score"),
    "Traces": ("minilm.trace.writer", "minilm.trace.reader", "minilm.trace.diff", "minilm.trace.replay"),
    "Training": (
        "minilm.training.fit",
        "minilm.training.step",
        "minilm.training.batches",
        "minilm.training.checkpoint",
        "minilm.training.timeline.timeline",
    ),
    "Backends": ("minilm.backends", "minilm.backends.numpy.lstm", "minilm.backends.numpy.layer"),
    "Comparison": ("minilm.comparison.backends", "minilm.comparison.lockstep", "minilm.difference"),
    "Doctor": ("minilm.doctor", "minilm.doctor.records"),
    "Tokenizer": ("tokenizer", "tokenizer.bpe"),
}


def course_page(script: str) -> str:
    """Return a lesson's percent script as Markdown: prose as it is, code in fences."""
    parts = []
    for kind, source in split_cells(script):
        parts.append(source if kind == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n"


def commands(
    command: click.Command = minilm_command, path: str = "minilm"
) -> Iterator[tuple[str, click.Command, str]]:
    """Yield every command: its words, the command, and its help text."""
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    yield path, command, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from commands(inner, f"{path} {name}")


def command_page() -> str:
    """Return the reference of the command line, made from what `--help` prints."""
    parts = ["# The command line\n\nThis page is what `--help` prints, command by command.\n"]
    for path, _, text in commands():
        level = "#" * min(2 + path.count(" "), 4)
        parts.append(f"{level} {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def adapt_links(text: str, page: Path) -> str:
    """Point the links of a page of the repository at the pages of the site.

    A link to a file that has no page here is left as the file's name.
    """

    def adapt(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match.group(0)
        place = (page.parent / target.partition("#")[0]).resolve()
        if picture:
            return f"{picture}[{label}](pictures/{place.name})"
        lesson = re.fullmatch(r"(\d\d_\w+)", place.parent.name if place.is_file() else place.name)
        if lesson and place.name in (lesson[1], "lesson.py"):
            return f"[{label}](course/{lesson[1]}.md)"
        known = {ROOT / "lessons": "course.md", ROOT / "lessons" / "README.md": "course.md"}
        known |= {ROOT / name: f"{name.lower()}" for name in ("CONTRIBUTING.md", "CHANGELOG.md")}
        return f"[{label}]({known[place]})" if place in known else label

    return re.sub(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)", adapt, text)


def write_pages(folder: Path) -> dict[str, str | dict[str, str]]:
    """Write all pages of Markdown into a folder, and return the navigation: title -> page."""
    (folder / "course").mkdir(parents=True)
    (folder / "api").mkdir()
    (folder / "pictures").mkdir()
    for picture in (ROOT / "notebooks").glob("*.svg"):
        shutil.copy(picture, folder / "pictures")
    for source, page in (
        ("README.md", "index.md"),
        ("lessons/README.md", "course.md"),
        ("CONTRIBUTING.md", "contributing.md"),
        ("CHANGELOG.md", "changelog.md"),
    ):
        text = (ROOT / source).read_text("utf-8")
        (folder / page).write_text(adapt_links(text, ROOT / source), "utf-8")
    course = {"Overview": "course.md"}
    for script in sorted((ROOT / "lessons").glob("[0-9]*/lesson.py")):
        page = course_page(script.read_text("utf-8"))
        name = script.parent.name
        title = page.partition("\n")[0].lstrip("# ")
        (folder / "course" / f"{name}.md").write_text(page, "utf-8")
        course[f"{int(name[:2])} {title}"] = f"course/{name}.md"
    (folder / "commands.md").write_text(command_page(), "utf-8")
    api = {}
    for number, (title, modules) in enumerate(API.items(), 1):
        page = f"api/{number:02}.md"
        blocks = "\n\n".join(f"## {module}\n\n::: {module}" for module in modules)
        (folder / page).write_text(f"# {title}\n\n{blocks}\n", "utf-8")
        api[title] = page
    return {
        "minilm": "index.md",
        "Course": course,
        "Command line": "commands.md",
        "Python": api,
        "Contributing": "contributing.md",
        "Changes": "changelog.md",
    }


def build(site: Path, pages: Path) -> None:
    """Build the site.

    Args:
        site: where the HTML goes; replaced where it exists.
        pages: a folder for the Markdown; replaced where it exists.
    """
    for folder in (site, pages):
        shutil.rmtree(folder, ignore_errors=True)
    nav = write_pages(pages)
    config = mkdocs.config.load_config(
        str(ROOT / "docs" / "mkdocs.yml"),
        docs_dir=str(pages),
        site_dir=str(site),
        nav=[{title: _listed(page)} for title, page in nav.items()],
    )
    mkdocs.commands.build.build(config)


def _listed(page: str | dict[str, str]) -> str | list[dict[str, str]]:
    return page if isinstance(page, str) else [{title: inner} for title, inner in page.items()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--site", type=Path, default=ROOT / "build" / "site", help="where the HTML goes")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    build(arguments.site, arguments.site.with_name("pages"))
    print(f"open {arguments.site / 'index.html'}", file=sys.stderr)
