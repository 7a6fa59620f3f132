"""`minilm compare`: every spelling, with or without the name of a sub-command, reaches its sub-command."""

import pytest
from click.testing import CliRunner

from minilm.cli import command as minilm
from minilm.cli.compare.group import MODES, name_mode


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("", "backends"),
        ("--steps 50", "backends --steps 50"),
        ("--json", "backends --json"),
        ("reference my_lstm.py", "reference my_lstm.py"),
        ("--seconds 5 reference my_lstm.py", "reference --seconds 5 my_lstm.py"),
        ("one/model two/model --json", "models one/model two/model --json"),
        ("--prompt fox one.py two.py", "models --prompt fox one.py two.py"),
        ("--template torch", "template torch"),
        ("--rows", "defaults"),
        ("--with two_biases,seeds --json", "defaults --with two_biases,seeds --json"),
        ("--native numpy,torch --steps 5", "native numpy,torch --steps 5"),
        ("--native=numpy,torch", "native numpy,torch"),
        ("--ladder --plot ladder.svg", "native --ladder --plot ladder.svg"),
        ("native --ladder", "native --ladder"),
        ("--help", "--help"),
    ],
)
def test_a_spelling_without_a_name_means_the_sub_command(words, named):
    assert name_mode(words.split()) == named.split()
    assert name_mode(named.split()) == named.split()


@pytest.mark.parametrize("mode", MODES)
def test_each_sub_command_lists_only_its_own_options(mode):
    page = CliRunner().invoke(minilm, ["compare", mode, "--help"]).output
    assert ("--embedding" in page) == (mode == "backends")
    assert ("--seconds" in page) == (mode in ("reference", "models"))


def test_the_list_of_defaults_has_a_name_of_its_own():
    rows, defaults = (CliRunner().invoke(minilm, ["compare", word]).output for word in ("--rows", "defaults"))
    assert rows == defaults
    assert "two_biases" in rows
