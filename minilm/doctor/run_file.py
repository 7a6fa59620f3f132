"""Run a user's training file with the doctor attached, in a process of its own.

`watch_file` starts `python -m minilm.doctor.run_file FILE RECORD STEPS SECONDS`. There the file runs as if
the user had started it; the doctor finds the model and the optimizer when they are first used. The records
are written even where the file fails or runs out of time, and the file's own error is shown unchanged.
"""

from __future__ import annotations

import ast
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minilm.doctor import attach_tensorflow, attach_torch
from minilm.doctor.records import Ending, Record, load_run, save_run
from minilm.doctor.watching import Enough, Watching
from minilm.errors import MinilmError, require_packages

__all__ = ["find_frameworks", "record_file", "watch_file"]

ATTACH = {"torch": attach_torch, "tensorflow": attach_tensorflow}

# The first part of an imported name -> the framework that has to be watched.
FRAMEWORK_OF = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}
# Packages that import torch for their user.
LIBRARIES = ("transformers", "lightning", "pytorch_lightning", "accelerate", "ignite", "fastai")
FRAMEWORK_OF |= dict.fromkeys(LIBRARIES, "torch")

# Seconds that a stopped file gets to be probed and to write its records.
GRACE = 20


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
        words = [sys.executable, "-m", "minilm.doctor.run_file", str(file), str(path)]
        try:
            done = subprocess.run(
                [*words, str(steps), str(seconds), *arguments],
                stdout=sys.stderr,
                timeout=seconds + GRACE,
                check=False,
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            raise MinilmError(
                f"{file} ran for more than {seconds} s and could not be stopped; give fewer --steps or more "
                "--seconds"
            ) from None
        records = list(load_run(path)) if path.exists() else []
    if code and all(isinstance(one, Ending) and not one.seconds for one in records):
        for name in find_frameworks(file.read_text("utf-8", errors="replace"), file.resolve().parent):
            require_packages(str(file), name, extra=name)
        raise MinilmError(f"{file} failed before a training step was seen; its error is printed above")
    return records


def find_frameworks(source: str, folder: Path | None = None) -> list[str]:
    """Return the frameworks that a source imports, torch first: some builds crash in the other order.

    A source that is not Python imports none; its error is shown when it is run.

    Args:
        source: Python source.
        folder: Where the source's own modules are; they are searched too. None to search the source alone.

    >>> find_frameworks("from keras import layers")
    ['tensorflow']
    """
    packages = {name.split(".")[0] for name in _imported_modules(source, folder, set())}
    return [name for name in ATTACH if name in {FRAMEWORK_OF.get(package) for package in packages}]


def _imported_modules(source: str, folder: Path | None, seen: set[Path]) -> Iterator[str]:
    """Yield the full names of the modules that a source and its own modules import."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
        for name in names:
            yield name
            for path in _own_files(name, folder):
                if path not in seen:
                    seen.add(path)
                    # A relative import is looked for beside its own file too.
                    text = path.read_text("utf-8", errors="replace")
                    yield from _imported_modules(text, folder, seen)
                    yield from _imported_modules(text, path.parent, seen)


def _own_files(name: str, folder: Path | None) -> Iterator[Path]:
    """Yield the files of a user's own module, if it lies in the folder."""
    if folder is None or not name:
        return
    path = folder.joinpath(*name.split("."))
    candidates = [path.with_suffix(".py"), path / "__init__.py"]
    yield from (one.resolve() for one in candidates if one.is_file())


def record_file(file: str, record: str, steps: int, seconds: int, arguments: list[str]) -> None:
    """Run a file until it ends, enough steps were seen or its time is up, and write the records.

    Args:
        file: The training file, Python.
        record: Where to write the records, JSON lines.
        steps: Number of training steps to watch.
        seconds: The longest time that the file may run.
        arguments: What the file finds in sys.argv[1:].
    """
    watched: list[Watching] = []
    sys.argv, sys.path[0] = [file, *arguments], str(Path(file).resolve().parent)
    error, is_late = "", False

    def stop(*_: Any) -> None:
        nonlocal is_late
        is_late = True
        raise Enough

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(seconds)
    try:
        with ExitStack() as stack:
            source = Path(file).read_text("utf-8", errors="replace")
            # Where a framework is missing, the file itself says so, or does without it.
            for name in filter(find_spec, find_frameworks(source, Path(file).resolve().parent)):
                watched.append(stack.enter_context(ATTACH[name](limit=steps)))
            try:
                runpy.run_path(file, run_name="__main__")
            finally:
                if hasattr(signal, "SIGALRM"):
                    signal.alarm(0)
    except Enough:
        pass
    except Exception as failure:
        # TensorFlow turns an Enough from inside a traced step into an error of its own.
        if not is_late and not any(watching.steps >= steps for watching in watched):
            error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
            raise
    finally:
        records = [one for watching in watched for one in watching.records]
        last = max((one.step for one in records), default=1)
        if is_late or error:
            records.append(Ending(last, error, seconds if is_late else 0))
        save_run(records, record)


if __name__ == "__main__":
    record_file(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
