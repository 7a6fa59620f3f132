"""Every command's help names the library call that does the same, and the call is one that runs."""

import ast
import importlib
import re
from collections.abc import Iterator

import click
import pytest

import minilm
from minilm.cli import command as root


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
# These take long, or need files of the user: their names are looked up, and their own tests run them.
NOT_RUN = {("demo",), ("compare",), ("compare", "backends"), ("compare", "reference"), ("compare", "native")}


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_the_call_uses_names_that_exist(words):
    """An import is executed, and `minilm.a.b` is looked up."""
    for node in ast.walk(ast.parse(CALLS[words])):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "minilm":
            assert hasattr(minilm, node.attr)


@pytest.mark.parametrize("words", [words for words in CALLS if words not in NOT_RUN], ids=" ".join)
def test_the_call_runs(words, tmp_path, monkeypatch):
    """In an empty folder; what it yields is read to the end."""
    monkeypatch.chdir(tmp_path)
    *before, last = ast.parse(CALLS[words]).body
    assert isinstance(last, ast.Expr)
    names = {"minilm": minilm}
    exec(compile(ast.Module(before, []), "help", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "help", "eval"), names)
    if isinstance(value, Iterator):
        assert list(value)
    else:
        assert value is not None
