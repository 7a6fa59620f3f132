"""A command's options become one request: the option names are the field names, and no value is changed."""

import inspect
import typing
from dataclasses import MISSING, fields, is_dataclass

import click
import pytest

from minilm.cli import command as minilm
from minilm.cli.options.request import takes


def requests():
    """Every command that takes a request: (its words, its parameters, the class of its request)."""
    pending = [((), minilm)]
    while pending:
        words, found = pending.pop(0)
        if isinstance(found, click.Group):
            names = found.list_commands(click.Context(found))
            pending += [((*words, name), found.get_command(click.Context(found), name)) for name in names]
            continue
        function = inspect.unwrap(found.callback)
        hints = typing.get_type_hints(function)
        hints.pop("return", None)
        if list(hints) == ["request"]:
            yield words, found.params, hints["request"]


REQUESTS = {words: (params, request) for words, params, request in requests()}


@pytest.mark.parametrize("words", REQUESTS, ids=" ".join)
def test_the_options_of_a_command_are_the_fields_of_its_request(words):
    """A field without an option has a default: a debugger has no use for all fields of TrainingRequest."""
    params, request = REQUESTS[words]
    assert is_dataclass(request)
    options = {param.name for param in params if param.expose_value}
    required = {field.name for field in fields(request) if field.default is MISSING}
    assert required <= options <= {field.name for field in fields(request)}


@pytest.mark.parametrize("words", REQUESTS, ids=" ".join)
def test_a_request_documents_its_fields(words):
    _, request = REQUESTS[words]
    documented = "\n".join(inspect.getdoc(base) or "" for base in request.__mro__)
    assert [field.name for field in fields(request) if f"\n    {field.name}: " not in documented] == []


@pytest.mark.parametrize("words", REQUESTS, ids=" ".join)
def test_a_request_cannot_be_changed(words):
    _, request = REQUESTS[words]
    assert request.__dataclass_params__.frozen


def test_a_command_that_takes_a_request_keeps_its_help():
    @takes(dict)
    def command(request):
        """What it does."""

    assert command.__doc__ == "What it does."
