"""The public names: they come when they are used, and what a star imports is what is listed."""

import subprocess
import sys

import pytest

import minilm


@pytest.mark.parametrize("name", [*minilm.__all__, "open", "__version__"])
def test_a_public_name_is_there_and_documented(name):
    value = getattr(minilm, name)
    assert name == "__version__" or value.__doc__
    assert name in dir(minilm)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'minilm' has no attribute 'nothing'"):
        minilm.nothing  # noqa: B018 - the look-up itself is the test


def test_a_star_leaves_pythons_open_alone():
    names: dict[str, object] = {}
    exec("from minilm import *", names)
    assert set(minilm.__all__) <= set(names)
    assert "open" not in names


def test_importing_minilm_loads_nothing_of_weight():
    code = "import sys; before = set(sys.modules); import minilm; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"numpy", "click", "tokenizer", "torch", "tensorflow"} & loaded
    assert {name for name in loaded if name.startswith("minilm")} == {"minilm", "minilm.frozen"}
