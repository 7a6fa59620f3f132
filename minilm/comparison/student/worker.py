"""The process that runs a student's file and writes down what it answered: python -m ... FILE ANSWER.

It keeps a crash, an endless loop and a framework's import away from the caller. It is no sandbox: the code
may do what its user may do.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minilm.backends import wrap
from minilm.comparison.student.contract import Framework, ask
from minilm.errors import MinilmError

__all__ = ["main"]


def main(file: str, answer: str) -> None:
    """Ask the file, and write {"arrays": ...} or {"error": one line} as JSON."""
    try:
        names = _loaded(file)
        arrays = ask(names, _framework(names))
        said: dict[str, Any] = {"arrays": {name: array.tolist() for name, array in arrays.items()}}
    except (
        BaseException
    ) as error:  # whatever a student's file does, SystemExit too, is one line for its author
        said = {"error": _one_line(error, file)}
    Path(answer).write_text(json.dumps(said), "utf-8")


def _loaded(file: str) -> dict[str, Any]:
    sys.path.insert(0, str(Path(file).parent))
    spec = spec_from_file_location("student", file)
    if spec is None or spec.loader is None:
        raise MinilmError(f"{Path(file).name} is no Python file; its name must end with .py")
    module = module_from_spec(spec)
    sys.modules["student"] = module
    spec.loader.exec_module(module)
    return vars(module)


def _framework(names: Mapping[str, Any]) -> Framework:
    """The framework that the file imports: NumPy where it imports none."""
    roots = {_root(value) for value in names.values()}
    if "torch" in roots and roots & {"tensorflow", "keras"}:
        raise MinilmError("The file imports both torch and TensorFlow; import the one that its LSTM is in")
    if "torch" in roots:
        arrays = import_module("minilm.backends.torch.net")
        return Framework("torch", arrays.tensor, arrays.array, wrap)
    if roots & {"tensorflow", "keras"}:
        arrays = import_module("minilm.backends.tensorflow.net")
        return Framework("tensorflow", arrays.tensor, arrays.array, wrap)
    return Framework("numpy", np.array, lambda value: np.asarray(value, np.float64))


def _root(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name.split(".")[0] if isinstance(name, str) else ""


def _one_line(error: BaseException, file: str) -> str:
    """What went wrong, with the last line of the student's own file that was on the way."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MinilmError):
        return text
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {text}"


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    main(*sys.argv[1:])
