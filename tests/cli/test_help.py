"""Every --help has an example that parses, and runs where cheap; the first help page loads no framework."""

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from minilm.cli import COMMANDS, FIRST_HOUR
from minilm.cli import command as minilm

HEAVY = (
    "torch", "tensorflow", "keras", "transformers", "llguidance", "matplotlib", "sentencepiece", "rich",
    "IPython", "nbformat", "jupytext", "pytest", "jsonschema",
)  # fmt: skip
SLOW = {
    "demo",
    "train",
    "compare",
    "bench",
    "check-setup",
    "trace",
}  # their examples are parsed, and run by their own tests


def commands():
    """Every command and sub-command, as (words, command)."""
    pending = [((), minilm)]
    while pending:
        words, found = pending.pop(0)
        yield words, found
        if isinstance(found, click.Group):
            names = found.list_commands(click.Context(found))
            pending += [((*words, name), found.get_command(click.Context(found), name)) for name in names]


def examples(found):
    """The examples in a command's epilog, as words after `minilm`."""
    lines = [line.strip().removeprefix("Example:").strip() for line in (found.epilog or "").splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("minilm")]


ALL = dict(commands())
EXAMPLES = list(
    dict.fromkeys(" ".join(map(shlex.quote, e)) for found in ALL.values() for e in examples(found))
)
CHEAP = [
    example
    for example in EXAMPLES
    if example.split()[0] not in SLOW and "hf:PATH_OR_ID" not in example  # no such model is at hand
]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_shows_an_example(words):
    result = CliRunner().invoke(minilm, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example: minilm" in result.output
    assert examples(ALL[words])[0][: len(words)] == list(words)


@pytest.mark.parametrize(
    "words", [w for w, found in ALL.items() if isinstance(found, click.Group)], ids=" ".join
)
def test_no_line_of_a_list_of_commands_is_cut_short(words):
    page = CliRunner().invoke(minilm, [*words, "--help"]).output
    listed = page.partition("Commands:\n")[2].partition("Example:")[0]
    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_understood(example):
    found, context, rest = minilm, click.Context(minilm, info_name="minilm"), shlex.split(example)
    while isinstance(found, click.Group):
        name, found, rest = found.resolve_command(context, rest)
        assert found is not None, name
        context = click.Context(found, parent=context, info_name=name)
    found.parse_args(context, rest)


@pytest.mark.parametrize("example", CHEAP)
def test_the_cheap_example_runs(example, tmp_path, monkeypatch):
    """In a folder that holds what the examples name; an exercise not yet done is checked with exit code 1."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays.txt").write_text("".join(f"{n} to be or not to be, {n * n}\n" for n in range(900)))
    unfinished = example.startswith("lesson check")
    if unfinished:
        CliRunner().invoke(minilm, ["lesson", "start", "1", "my_first_lesson"])
    result = CliRunner().invoke(minilm, shlex.split(example))
    assert result.exit_code == (1 if unfinished else 0), f"{result.output}\n{result.exception!r}"


def test_help_shows_the_first_hour_and_help_all_the_rest():
    first = CliRunner().invoke(minilm, ["--help"]).output
    every = CliRunner().invoke(minilm, ["--help-all"]).output
    listed = [line.split()[0] for line in first.partition("Commands:")[2].splitlines() if line.strip()]
    assert [name for name in listed if name in COMMANDS] == list(FIRST_HOUR)
    assert all(f"\n  {name} " in every for name in COMMANDS)


LOADED = f"print('LOADED', *(name for name in {HEAVY!r} if name in sys.modules))"


@pytest.mark.parametrize(
    "script",
    [
        f"import sys, minilm; {LOADED}",
        f"import sys, atexit; from minilm.cli import main; atexit.register(lambda: {LOADED}); "
        "sys.argv[1:] = ['--help']; main()",
        "import sys, click\nfrom minilm.cli import command\n"
        "pending = [command]\n"
        "for group in pending:\n"
        "    context = click.Context(group)\n"
        "    found = [group.get_command(context, name) for name in group.list_commands(context)]\n"
        f"    pending += [one for one in found if isinstance(one, click.Group)]\n{LOADED}",
    ],
    ids=["import minilm", "minilm --help", "every command"],
)
def test_the_first_moment_loads_no_framework(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
