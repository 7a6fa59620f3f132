"""Run a student's file in a process of its own, and believe only an answer of the right form."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.contract import CONTRACT, Answers
from minilm.comparison.student.variant import LETTERS
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["run_file"]

# The sizes of the last axis by the name of a quantity.
_SIZES = dict.fromkeys((*LETTERS, "probed f", "cell", "hidden"), case.CONFIG.hidden_size) | {
    "logits": case.CONFIG.vocab_size
}


def run_file(file: str | Path, seconds: float) -> dict[str, Answers]:
    """Return what a student's file computes on the cases, by the name of its function.

    Args:
        file: the Python file.
        seconds: how long it may run.

    Raises:
        MinilmError: with one line, where the file cannot be read, fails, takes too long, or gives an answer
            of another form.
    """
    path = Path(file).resolve()
    if not path.is_file():
        raise MinilmError(f"There is no file {file}; write one from minilm compare --template numpy")
    with tempfile.TemporaryDirectory() as folder:
        answer, output = Path(folder, "answer.json"), Path(folder, "output.txt")
        code = _run_worker(path, answer, output, seconds)
        if not answer.exists():
            last = output.read_text("utf-8", "replace").strip().splitlines()[-1:]
            raise MinilmError(f"{path.name} ended without an answer (exit code {code}) {''.join(last)}")
        text = answer.read_bytes()
    try:
        content: Any = json.loads(text)
        error = content.get("error")
        found = {} if error else _read_functions(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise MinilmError(
            f"{path.name} gave an answer that cannot be read; does it write into files of minilm?"
        ) from None
    if error:
        raise MinilmError(f"{path.name}: {error}")
    return found


def _read_functions(content: Any) -> dict[str, Answers]:
    """Return the answers by function; a ValueError, KeyError or TypeError for another form."""
    found: dict[str, Answers] = {}
    for name, fields in content["functions"].items():
        cases = {key: _read_arrays(arrays, _find_case(key)) for key, arrays in fields["cases"].items()}
        notes, random = ([str(line) for line in fields[key]] for key in ("notes", "random"))
        again, remade = (_read_arrays(fields[key], case.USUAL) for key in ("again", "remade"))
        if name not in CONTRACT or {one.name for one in case.CASES} - set(cases) or not again:
            raise ValueError(name)
        found[name] = Answers(cases, again, remade, random, notes)
    if "left" in content:
        next(iter(found.values())).notes.append(str(content["left"]))
    if not found:
        raise ValueError("no function")
    return found


def _find_case(name: str) -> case.Case:
    return {"rows": case.USUAL, **{one.name: one for one in case.CASES}}[name]


def _read_arrays(arrays: Any, one: case.Case) -> dict[str, Array]:
    """Return arrays of float64, each (B, T, size of its quantity)."""
    found = {name: np.array(rows, np.float64) for name, rows in arrays.items()}
    for name, array in found.items():
        if array.shape != (*case.make_ids(one).shape, _SIZES[name]):
            raise ValueError(name)
    return found


def _run_worker(file: Path, answer: Path, output: Path, seconds: float) -> int:
    """Run worker.py on a file and return its exit code; its children end with it."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "minilm.comparison.student.worker", str(file), str(answer)]
    with output.open("wb") as written:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            env={**os.environ, **quiet},
            # A group of its own, so that every process in it can be ended.
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise MinilmError(
                f"{file.name} was still running after {seconds:g} s; look for an endless loop"
            ) from None
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        # The group may be empty already.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
