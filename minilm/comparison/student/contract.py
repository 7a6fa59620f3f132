"""The functions that a student's file may define, and how each is called; the first one found is used.

    lstm_step(x, h, c, kernel, recurrent, bias) -> h, c      or h, c, {"i": i, "f": f, "g": g, "o": o}
    lstm(inputs, kernel, recurrent, bias) -> hidden (T, H)   or hidden, cell or hidden, cell, gates
    make_lstm(kernel, recurrent, bias) -> layer              layer(inputs (1, T, E)) -> outputs (1, T, H)
    make_model(weights) -> net                               net(ids (1, T)) -> logits (1, T, V)

kernel (E, 4H), recurrent (H, 4H), bias (4H,): gates in the order i, f, g, o. They are arrays, or tensors of
the framework that the file imports. x is (E,) and h, c are (H,). Where the code needs rows, they are (1, E)
and (1, H).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.reference_cell import LETTERS
from minilm.difference import largest_difference
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["CONTRACT", "Framework", "call_student", "make_template"]

CONTRACT = ("lstm_step", "lstm", "make_lstm", "make_model")

T, H, V = len(case.make_ids()), case.CONFIG.hidden_size, case.CONFIG.vocab_size


@dataclass(frozen=True)
class Framework:
    """The framework of a student's file.

    Attributes:
        name: "numpy", "torch" or "tensorflow".
        tensor: makes a value of the framework from an array.
        array: makes an array from a value of the framework.
        wrap: makes a LanguageModel from a net; None for NumPy.
    """

    name: str
    tensor: Callable[[Array], Any]
    array: Callable[[Any], Array]
    wrap: Callable[[Any], Any] | None = None


def call_student(names: Mapping[str, Any], framework: Framework) -> dict[str, Array]:
    """Call the function of a student's file on the case.

    Args:
        names: what the file defines, by name.
        framework: the framework that the file computes with.

    Returns:
        The arrays that the function shows, by the names of case.run_case. Where lstm_step shows no gates,
        "probed f" is its forget gate as its answers reveal it.

    Raises:
        MinilmError: for a file without one of CONTRACT, or an answer of another shape.
    """
    found = next((name for name in CONTRACT if callable(names.get(name))), None)
    if found is None:
        raise MinilmError(
            f"The file must define one of {', '.join(CONTRACT)}; see minilm compare --template numpy"
        )
    calls = {"lstm_step": _call_step, "lstm": _call_lstm, "make_lstm": _call_layer, "make_model": _call_model}
    return calls[found](names[found], framework)


def _call_step(step: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    """Call lstm_step for each t, with vectors or with rows, whichever the code takes."""
    forms = [(1, -1), (-1,)] if framework.name == "tensorflow" else [(-1,), (1, -1)]
    try:
        return _run_steps(step, framework, forms[0])
    except Exception as error:
        try:
            return _run_steps(step, framework, forms[1])
        # Neither form fits: the student sees the failure of the usual one.
        except Exception:
            raise error from None


def _run_steps(step: Callable[..., Any], framework: Framework, form: tuple[int, ...]) -> dict[str, Array]:
    weights = [framework.tensor(array) for array in case.make_layer()]
    rows: list[dict[str, Array]] = []
    hidden = cell = np.zeros(H)

    def call(x: Array, h: Array, c: Array) -> dict[str, Array]:
        given = [framework.tensor(part.reshape(form)) for part in (x, h, c)]
        return _name_parts(step(*given, *weights), ("hidden", "cell"), (H,), framework)

    for x in case.make_inputs():
        row = call(x, hidden, cell)
        if "f" not in row:
            row |= _probe_forget_gate(row, *(call(x, hidden, cell + more) for more in (1, 2)))
        hidden, cell = row["hidden"], row["cell"]
        rows.append(row)
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.array([row[name] for row in rows]) for name in shared}


def _probe_forget_gate(
    row: Mapping[str, Array], one: Mapping[str, Array], two: Mapping[str, Array]
) -> dict[str, Array]:
    """Find the forget gate of code that shows no gates.

    The new cell is f*c + i*g, so 1 more in c adds f to it, and 2 more add 2f.
    """
    once, twice = one["cell"] - row["cell"], two["cell"] - row["cell"]
    return {"probed f": once} if largest_difference(twice, 2 * once) < 1e-5 else {}


def _call_lstm(lstm: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    given = [framework.tensor(array) for array in (case.make_inputs(), *case.make_layer())]
    return _name_parts(lstm(*given), ("hidden", "cell"), (T, H), framework)


def _call_layer(make: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    layer = make(*(framework.tensor(array) for array in case.make_layer()))
    answer = layer(framework.tensor(case.make_inputs()[None]))
    outputs = answer[0] if isinstance(answer, tuple | list) else answer
    return _name_parts(outputs, ("hidden",), (T, H), framework)


def _call_model(make: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    net = make({name: framework.tensor(array) for name, array in case.make_weights().items()})
    if framework.wrap is not None:
        logits = framework.wrap(net).read(case.make_ids(), rows="all").logits
        return {"logits": np.asarray(logits, np.float64)}
    answer = net(case.make_ids()[None])
    return _name_parts(answer[0] if isinstance(answer, tuple) else answer, ("logits",), (T, V), framework)


def _name_parts(
    answer: Any, names: Sequence[str], shape: tuple[int, ...], framework: Framework
) -> dict[str, Array]:
    """Return the parts of an answer by name, each in its shape, and its gates by letter where it has them."""
    parts = list(answer) if isinstance(answer, tuple | list) else [answer]
    if len(names) == 2 and len(shape) == 1 and len(parts) < 2:
        raise MinilmError(
            f"lstm_step must return h, c; got {len(parts)} value of type {type(answer).__name__}"
        )
    named = dict(zip(names, parts, strict=False))
    if len(parts) > 2 and isinstance(parts[2], Mapping):
        named |= {letter: parts[2][letter] for letter in LETTERS if letter in parts[2]}
    return {name: _check_shape(name, framework.array(value), shape) for name, value in named.items()}


def _check_shape(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    if value.shape not in (shape, (1, *shape)):
        raise MinilmError(f"{name} must have shape {shape}, got {value.shape}")
    return value.reshape(shape)


# The words of each framework: import, split, sigmoid, tanh.
_WORDS = {
    "numpy": ("import numpy as np", "np.split(z, 4, axis=-1)", "1 / (1 + np.exp(-z))", "np.tanh"),
    "torch": ("import torch", "z.chunk(4, dim=-1)", "torch.sigmoid(z)", "torch.tanh"),
    "tensorflow": ("import tensorflow as tf", "tf.split(z, 4, axis=-1)", "tf.sigmoid(z)", "tf.tanh"),
}

_PAGE = '''"""One step of my LSTM. Compare it with the reference: minilm compare reference FILE.py"""

{imports}


def sigmoid(z):
    return {sigmoid}


def lstm_step(x, h, c, kernel, recurrent, bias):
    """x (E,), h and c (H,), kernel (E, 4H), recurrent (H, 4H), bias (4H,); gates in the order i, f, g, o."""
    z = x @ kernel + h @ recurrent + bias
    i, f, g, o = {split}
    i, f, g, o = sigmoid(i), sigmoid(f), {tanh}(g), sigmoid(o)
    c = f * c + i * g
    h = o * {tanh}(c)
    return h, c
'''


def make_template(framework: str) -> str:
    """Return the text of a file whose LSTM equals the reference.

    Args:
        framework: "numpy", "torch" or "tensorflow".

    >>> make_template("torch").splitlines()[2]
    'import torch'
    """
    if framework not in _WORDS:
        raise MinilmError(f"There are templates for {', '.join(_WORDS)}, got {framework!r}")
    imports, split, sigmoid, tanh = _WORDS[framework]
    return _PAGE.format(imports=imports, split=split, sigmoid=sigmoid, tanh=tanh)
