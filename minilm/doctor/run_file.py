"""Run a user's training file with the doctor attached, in a process of its own.

`watch_file` starts `python -m minilm.doctor.run_file FILE RECORD STEPS`. There the file runs as if the user
had started it; the doctor finds the model and the optimizer when they are first used. The records are written
even where the file fails, and the file's own error is shown unchanged.
"""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from minilm.doctor import attach_tensorflow, attach_torch
from minilm.doctor.records import Record, load, save
from minilm.doctor.watching import Enough, Watching
from minilm.errors import MinilmError, require_packages

__all__ = ["find_frameworks", "main", "watch_file"]

ATTACH = {"torch": attach_torch, "tensorflow": attach_tensorflow}

# The first part of an imported name -> the framework that has to be watched.
FRAMEWORK_OF = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}


def watch_file(
    file: Path,
    arguments: Sequence[str] = (),
    steps: int = 100,
    seconds: int = 120,
    record: Path | None = None,
) -> list[Record]:
    """Run a training file in a new process, and return the records of its first steps.

    The file runs with the user's rights. What it prints goes to standard error.

    Args:
        file: The training file, Python.
        arguments: What the file finds in sys.argv[1:].
        steps: Number of training steps to watch; then the file is stopped.
        seconds: The longest time that the file may run.
        record: Where to keep the records, JSON lines; None to keep no file.

    Raises:
        MinilmError: The file does not exist, runs too long, or fails before its first training step.
    """
    if not file.is_file():
        raise MinilmError(f"Training file {file} does not exist")
    with tempfile.TemporaryDirectory() as folder:
        path = record or Path(folder) / "run.jsonl"
        words = [sys.executable, "-m", "minilm.doctor.run_file", str(file), str(path), str(steps), *arguments]
        try:
            code = subprocess.run(words, stdout=sys.stderr, timeout=seconds, check=False).returncode
        except subprocess.TimeoutExpired:
            raise MinilmError(
                f"{file} ran for more than {seconds} s; give fewer --steps or more --seconds"
            ) from None
        records = list(load(path)) if path.exists() else []
    if code and not records:
        for name in find_frameworks(file.read_text("utf-8", errors="replace")):
            require_packages(str(file), name, extra=name)
        raise MinilmError(f"{file} failed before a training step was seen; its error is printed above")
    return records


def find_frameworks(source: str) -> list[str]:
    """Return the frameworks that a source imports, torch first: some builds crash in the other order.

    A source that is not Python imports none; its error is shown when it is run.

    >>> find_frameworks("from keras import layers")
    ['tensorflow']
    """
    packages: set[str] = set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").split(".")[0])
    return [name for name in ATTACH if name in {FRAMEWORK_OF.get(package) for package in packages}]


def main(file: str, record: str, steps: int, arguments: list[str]) -> None:
    """Run a file until it ends or enough steps were seen, and write the records.

    Args:
        file: The training file, Python.
        record: Where to write the records, JSON lines.
        steps: Number of training steps to watch.
        arguments: What the file finds in sys.argv[1:].
    """
    watched: list[Watching] = []
    sys.argv, sys.path[0] = [file, *arguments], str(Path(file).resolve().parent)
    try:
        with ExitStack() as stack:
            # Where a framework is missing, the file itself says so, or does without it.
            for name in filter(find_spec, find_frameworks(Path(file).read_text("utf-8"))):
                watched.append(stack.enter_context(ATTACH[name](limit=steps)))
            runpy.run_path(file, run_name="__main__")
    except Enough:
        pass
    except Exception:
        # TensorFlow turns an Enough from inside a traced step into an error of its own.
        if not any(watching.steps >= steps for watching in watched):
            raise
    finally:
        save((one for watching in watched for one in watching.records), record)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
