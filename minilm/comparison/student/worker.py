"""The process that runs a student's file and writes down what it computed: python -m ... FILE ANSWER.

It keeps a crash, an endless loop and the import of a framework away from the caller. It is no sandbox: the
code may do whatever its user may do.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from minilm.backends import wrap
from minilm.comparison.student.contract import Framework, call_student
from minilm.errors import MinilmError, first_line

__all__ = ["answer_for_file"]


class _NoKeyboard:
    """The standard input of a student's file: nobody types while files are compared."""

    def read(self, *_: object) -> NoReturn:
        raise MinilmError("the file waits for input() or reads sys.stdin; give it its values in the code")

    readline = readlines = __iter__ = __next__ = fileno = read

    @property
    def buffer(self) -> _NoKeyboard:
        return self


def answer_for_file(file: str, answer: str) -> None:
    """Run a student's file on the cases and write the result as JSON.

    Args:
        file: the path of the student's file.
        answer: the path to write to: {"functions": ...}, or {"error": one line}.
    """
    content: dict[str, Any]
    before = set(threading.enumerate())
    sys.argv, sys.stdin = [file], _NoKeyboard()
    try:
        names = _import_file(file)
        found = call_student(names, _find_framework(names))
        content = {"functions": {name: asdict(answers) for name, answers in found.items()}}
        left = [thread.name for thread in threading.enumerate() if thread not in before and not thread.daemon]
        if left:
            note = f"the file leaves a thread running ({', '.join(left)}); join it, or make it a daemon"
            content["left"] = note
    # Whatever a student's file raises, SystemExit too, becomes one line for its author.
    except BaseException as error:
        content = {"error": _describe_error(error, file)}
    Path(answer).write_text(json.dumps(content, default=_list_array), "utf-8")


def _list_array(value: Any) -> Any:
    return np.asarray(value).tolist()


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
        return _use_torch()
    if packages & {"tensorflow", "keras"}:
        return _use_tensorflow()
    return Framework("numpy", np.array, lambda value: np.asarray(value, np.float64))


def _read_wrapped(net: Any, ids: Any) -> Any:
    return wrap(net).read(ids, rows="all").logits


def _use_torch() -> Framework:
    ours = import_module("minilm.backends.torch.net")
    # The student's file has imported it.
    torch: Any = sys.modules["torch"]

    def ask(net: Any, ids: Any) -> Any:
        # A net in training mode would drop units at random.
        if isinstance(net, torch.nn.Module):
            net.eval()
        with torch.no_grad():
            return net(torch.from_numpy(ids))

    def parameters(net: Any) -> dict[str, Any]:
        named = net.state_dict() if isinstance(net, torch.nn.Module) else {}
        return {name: ours.to_array(tensor) for name, tensor in named.items()}

    return Framework("torch", ours.to_tensor, ours.to_array, ask, _read_wrapped, parameters)


def _use_tensorflow() -> Framework:
    ours = import_module("minilm.backends.tensorflow.net")
    tensorflow: Any = sys.modules["tensorflow"]

    def ask(net: Any, ids: Any) -> Any:
        return net(tensorflow.constant(ids))

    def parameters(net: Any) -> dict[str, Any]:
        variables = getattr(net, "weights", ())
        return {getattr(one, "path", one.name): ours.to_array(one) for one in variables}

    return Framework("tensorflow", ours.to_tensor, ours.to_array, ask, _read_wrapped, parameters)


def _package_of(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name.split(".")[0] if isinstance(name, str) else ""


def _describe_error(error: BaseException, file: str) -> str:
    """Return one line: the error, and the last line of the student's own file that led to it."""
    text = first_line(str(error), join=True)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    if isinstance(error, MinilmError):
        return f"{where}{text}"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    return f"{where}{type(error).__name__}: {text}"


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    answer_for_file(*sys.argv[1:])
    # Without waiting for threads that the file left behind.
    os._exit(0)
