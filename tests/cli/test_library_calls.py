"""The help of every command names the library call that does the same, and the call runs."""

import ast
import importlib
import re
from collections.abc import Iterator

import click
import pytest

import minilm
from minilm.cli import command as root
from minilm.comparison.student.contract import make_template
from minilm.trace.writer import new_trace


def epilogs():
    """Every command and group with its epilog: (its words, the text)."""
    pending = [((), root)]
    while pending:
        words, found = pending.pop(0)
        yield words, found.epilog or ""
        if isinstance(found, click.Group):
            names = found.list_commands(click.Context(found))
            pending += [((*words, name), found.get_command(click.Context(found), name)) for name in names]


EPILOGS = dict(epilogs())


def calls(epilog):
    return re.findall(r"^In Python: (.*)$", epilog, re.M)


CALLS = {words: call for words, epilog in EPILOGS.items() for call in calls(epilog)}
NOT_RUN = {  # their names are looked up; tests of their own run them
    ("bench",),  # measures for seconds
    ("check-setup",),  # imports every framework
    ("compare",),  # needs several frameworks
    ("compare", "backends"),  # the same
    ("compare", "native"),  # trains for a minute
    ("demo",),  # the same
    ("doctor",),  # needs a training loop of the user
    ("inside", "attention"),  # needs a Hugging Face model
    ("inside", "lens"),  # the same
    ("lesson", "check"),  # needs an exercise, and runs pytest
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the calls name."""
    place = tmp_path_factory.mktemp("calls")
    (place / "plays.txt").write_text("".join(f"{n} to be or not to be, {n * n}\n" for n in range(900)))
    (place / "my_lstm.py").write_text(make_template("numpy"))
    cursor = minilm.open().start("Once upon a time", "Temperature(0.8)", max_tokens=4)
    with new_trace(place / "run.jsonl", cursor, logits=True) as writer:
        for one in cursor.cursors():
            writer.step(one.peek(), one.reading.logits[-1])
    return place


@pytest.mark.parametrize("words", EPILOGS, ids=" ".join)
def test_the_help_of_a_command_names_one_library_call(words):
    assert len(calls(EPILOGS[words])) == 1


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_the_call_uses_names_that_exist(words):
    """An import is executed, and what is asked of minilm or of an imported module is looked up in it."""
    tree = ast.parse(CALLS[words])
    modules = {"minilm": minilm}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                modules[alias.name] = getattr(module, alias.name, None) or importlib.import_module(
                    f"{node.module}.{alias.name}"
                )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr)


@pytest.mark.parametrize("words", [words for words in CALLS if words not in NOT_RUN], ids=" ".join)
def test_the_call_runs(words, folder, monkeypatch):
    """What it yields is read to the end."""
    monkeypatch.chdir(folder)
    if "'torch'" in CALLS[words]:
        pytest.importorskip("torch")
    *before, last = ast.parse(CALLS[words]).body
    assert isinstance(last, ast.Expr)
    names = {"minilm": minilm}
    exec(compile(ast.Module(before, []), "help", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "help", "eval"), names)
    assert value is not None
    if isinstance(value, Iterator):
        list(value)
