"""The README: its Python prints what it says, its commands are understood, its links lead somewhere."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import click
import pytest

from minilm.cli import COMMANDS
from minilm.cli import command as minilm

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SHOWN = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
COMMAND_LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("minilm ")
]


def test_the_map_names_every_package():
    packages = {path.name for path in (ROOT / "minilm").iterdir() if (path / "__init__.py").is_file()}
    linked = set(re.findall(r"\]\(minilm/([a-z]+)\)", README))
    assert linked == packages


def test_the_sections_come_in_the_order_that_a_newcomer_needs():
    sections = re.findall(r"^## (.*)", README, re.MULTILINE)
    assert sections == [
        "Install", "Five commands", "The course", "The map", "Add a backend", "Speed", "Licence",
    ]  # fmt: skip
    assert README.index("![") < README.index("```python") < README.index("## Install")


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_python_block_is_followed_by_its_output():
    assert len(SHOWN) == README.count("```python") > 0


@pytest.mark.parametrize(("source", "printed"), SHOWN)
def test_the_code_prints_what_the_readme_shows(source, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, "README.md", "exec"), {"__name__": "__main__"})
    assert out.getvalue() == printed


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_is_understood(line):
    # The shell takes "> my_lstm.py" away before a command sees its words.
    words = shlex.split(line.partition(" > ")[0])[1:]
    found, context, rest = minilm, click.Context(minilm, info_name="minilm"), words
    while isinstance(found, click.Group):
        name, found, rest = found.resolve_command(context, rest)
        assert found is not None, name
        context = click.Context(found, parent=context, info_name=name)
    found.parse_args(context, rest)


def test_the_commands_named_exist():
    assert {name for name in re.findall(r"`minilm ([a-z][a-z-]*)", README)} <= {*COMMANDS}


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_a_link_leads_somewhere(target):
    assert (ROOT / target).exists()
