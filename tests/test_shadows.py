"""A student's tokenizer.py, or another project's package tokenizer, is named in one line and is not run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = [
    "generate --max-tokens 1",
    "score fox",
    "train --out run --steps 1",
    "tokenizer encode fox",
    "tokenizer explain fox",
    "tokenizer train book.txt --out new.model",
    "compare --backends numpy --steps 1",
    "demo --out demo --steps 20",
    "debug train",
    "twin",
]


@pytest.fixture
def run(tmp_path):
    """Run Python in a folder with a tokenizer.py that says when it is run."""
    (tmp_path / "book.txt").write_text("The fox is here.\n" * 50)
    (tmp_path / "tokenizer.py").write_text("print('I am run')\ndef tokenize(text): return text.split()\n")

    def python(*arguments, path=ROOT):
        environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONSAFEPATH": ""}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    return python


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_beside_a_tokenizer_py_names_it_in_one_line(run, tmp_path, words):
    done = run("-m", "minilm", *words.split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"minilm: {tmp_path / 'tokenizer.py'} hides the package tokenizer; "
        "rename it, for example to my_tokenizer.py"
    )
    assert "Traceback" not in done.stderr
    assert "I am run" not in done.stdout


def test_a_command_that_needs_no_tokenizer_works_beside_it(run):
    for words in (["--help"], ["stages"], ["lesson", "list"]):
        done = run("-m", "minilm", *words)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "call",
    [
        "from minilm import builtin; builtin.codec()",
        "import minilm; minilm.open()",
        "import minilm; list(minilm.Training(steps=1))",
        "from minilm.comparison.prepare import prepare_comparison; prepare_comparison(['numpy', 'torch'])",
    ],
)
def test_a_script_beside_a_tokenizer_py_gets_our_error(run, tmp_path, call):
    (tmp_path / "script.py").write_text(call)
    done = run("script.py")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"minilm.errors.MinilmError: {tmp_path / 'tokenizer.py'} hides the package")
    assert "I am run" not in done.stdout


@pytest.mark.parametrize("left", ["def tokenize(text): pass", "import no_such_module", None])
def test_another_package_that_was_installed_over_ours_is_named_with_the_way_back(run, tmp_path, left):
    """After pip uninstall (None) our folder is still there, without its __init__.py."""
    for name in ("minilm", "tokenizer"):
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    first = tmp_path / "site" / "tokenizer" / "__init__.py"
    first.unlink()
    if left is not None:
        first.write_text(left)
    (tmp_path / "tokenizer.py").unlink()
    done = run("-m", "minilm", "generate", "--max-tokens", "1", path=tmp_path / "site")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{first.parent} is not minilm's tokenizer" in line
    assert "pip uninstall tokenizer" in line
