"""The process that runs a student's file and writes down what it computed: python -m ... FILE ANSWER.

It keeps a crash, an endless loop and the import of a framework away from the caller. It is no sandbox: the
code may do whatever its user may do.
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
from minilm.comparison.student.contract import Framework, call_student
from minilm.errors import MinilmError, first_line

__all__ = ["main"]


def main(file: str, answer: str) -> None:
    """Run a student's file on the case and write the result as JSON.

    Args:
        file: the path of the student's file.
        answer: the path to write to: {"arrays": ...}, or {"error": one line}.
    """
    content: dict[str, Any]
    try:
        names = _import_file(file)
        arrays = call_student(names, _find_framework(names))
        content = {"arrays": {name: array.tolist() for name, array in arrays.items()}}
    # Whatever a student's file raises, SystemExit too, becomes one line for its author.
    except BaseException as error:
        content = {"error": _describe_error(error, file)}
    Path(answer).write_text(json.dumps(content), "utf-8")


def _import_file(file: str) -> dict[str, Any]:
    sys.path.insert(0, str(Path(file).parent))
    spec = spec_from_file_location("student", file)
    if spec is None or spec.loader is None:
        raise MinilmError(f"{Path(file).name} is no Python file; its name must end with .py")
    module = module_from_spec(spec)
    sys.modules["student"] = module
    spec.loader.exec_module(module)
    return vars(module)


def _find_framework(names: Mapping[str, Any]) -> Framework:
    """Return the framework that the file imports, or NumPy where it imports none."""
    packages = {_package_of(value) for value in names.values()}
    if "torch" in packages and packages & {"tensorflow", "keras"}:
        raise MinilmError("The file imports both torch and TensorFlow; import the one that its LSTM is in")
    if "torch" in packages:
        net = import_module("minilm.backends.torch.net")
        return Framework("torch", net.to_tensor, net.to_array, wrap)
    if packages & {"tensorflow", "keras"}:
        net = import_module("minilm.backends.tensorflow.net")
        return Framework("tensorflow", net.to_tensor, net.to_array, wrap)
    return Framework("numpy", np.array, lambda value: np.asarray(value, np.float64))


def _package_of(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name.split(".")[0] if isinstance(name, str) else ""


def _describe_error(error: BaseException, file: str) -> str:
    """Return one line: the error, and the last line of the student's own file that led to it."""
    text = first_line(str(error), join=True)
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
