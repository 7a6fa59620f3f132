"""What a student's file may define, and how each of it is asked; the first that the file has is taken.

    lstm_step(x, h, c, kernel, recurrent, bias) -> h, c      or h, c, {"i": i, "f": f, "g": g, "o": o}
    lstm(inputs, kernel, recurrent, bias) -> hidden (T, H)   or hidden, cell or hidden, cell, gates
    make_lstm(kernel, recurrent, bias) -> layer              layer(inputs (1, T, E)) -> outputs (1, T, H)
    make_model(weights) -> net                               net(ids (1, T)) -> logits (1, T, V)

kernel (E, 4H), recurrent (H, 4H), bias (4H,): gates in the order i, f, g, o; arrays or tensors of the
framework that the file imports. x is (E,) and h, c are (H,), or (1, E) and (1, H) where the code wants rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.reference_cell import LETTERS
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["CONTRACT", "Framework", "ask", "template"]

CONTRACT = ("lstm_step", "lstm", "make_lstm", "make_model")

T, H, V = len(case.ids()), case.CONFIG.hidden_size, case.CONFIG.vocab_size


@dataclass(frozen=True)
class Framework:
    """tensor(array) makes what the student's code computes with, array(tensor) brings it back."""

    name: str
    tensor: Callable[[Array], Any]
    array: Callable[[Any], Array]
    wrap: Callable[[Any], Any] | None = None


def ask(names: Mapping[str, Any], framework: Framework) -> dict[str, Array]:
    """What the file's function makes of the case, by the names of student_case.said_by."""
    found = next((name for name in CONTRACT if callable(names.get(name))), None)
    if found is None:
        raise MinilmError(
            f"The file must define one of {', '.join(CONTRACT)}; see minilm compare --template numpy"
        )
    return {"lstm_step": _steps, "lstm": _whole, "make_lstm": _layer, "make_model": _model}[found](
        names[found], framework
    )


def _steps(step: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    """One call for each t, with vectors or with rows, whichever the code takes."""
    forms = [(1, -1), (-1,)] if framework.name == "tensorflow" else [(-1,), (1, -1)]
    try:
        return _walk(step, framework, forms[0])
    except Exception as error:
        try:
            return _walk(step, framework, forms[1])
        except Exception:  # neither form fits: the usual one's failure is told
            raise error from None


def _walk(step: Callable[..., Any], framework: Framework, form: tuple[int, ...]) -> dict[str, Array]:
    weights = [framework.tensor(array) for array in case.layer()]
    rows: list[dict[str, Array]] = []
    hidden = cell = np.zeros(H)

    def call(x: Array, h: Array, c: Array) -> dict[str, Array]:
        given = [framework.tensor(part.reshape(form)) for part in (x, h, c)]
        return _named(step(*given, *weights), ("hidden", "cell"), (H,), framework)

    for x in case.inputs():
        row = call(x, hidden, cell)
        row |= {} if "f" in row else _probed(row, *(call(x, hidden, cell + more) for more in (1, 2)))
        hidden, cell = row["hidden"], row["cell"]
        rows.append(row)
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.array([row[name] for row in rows]) for name in shared}


def _probed(row: Mapping[str, Array], one: Mapping[str, Array], two: Mapping[str, Array]) -> dict[str, Array]:
    """The forget gate of code that shows none: what 1 and 2 more in c add to a new cell f*c + i*g."""
    once, twice = one["cell"] - row["cell"], two["cell"] - row["cell"]
    return {"probed f": once} if np.abs(twice - 2 * once).max() < 1e-5 else {}


def _whole(lstm: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    given = [framework.tensor(array) for array in (case.inputs(), *case.layer())]
    return _named(lstm(*given), ("hidden", "cell"), (T, H), framework)


def _layer(make: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    layer = make(*(framework.tensor(array) for array in case.layer()))
    answer = layer(framework.tensor(case.inputs()[None]))
    outputs = answer[0] if isinstance(answer, tuple | list) else answer
    return _named(outputs, ("hidden",), (T, H), framework)


def _model(make: Callable[..., Any], framework: Framework) -> dict[str, Array]:
    net = make({name: framework.tensor(array) for name, array in case.weights().items()})
    if framework.wrap is not None:
        return {"logits": np.asarray(framework.wrap(net).read(case.ids(), rows="all").logits, np.float64)}
    answer = net(case.ids()[None])
    return _named(answer[0] if isinstance(answer, tuple) else answer, ("logits",), (T, V), framework)


def _named(
    answer: Any, names: Sequence[str], shape: tuple[int, ...], framework: Framework
) -> dict[str, Array]:
    """An answer's parts by name, each in its shape; gates at the end, by letter, where there are any."""
    parts = list(answer) if isinstance(answer, tuple | list) else [answer]
    if len(names) == 2 and len(shape) == 1 and len(parts) < 2:
        raise MinilmError(
            f"lstm_step must return h, c; got {len(parts)} value of type {type(answer).__name__}"
        )
    found = dict(zip(names, parts, strict=False))
    if len(parts) > 2 and isinstance(parts[2], Mapping):
        found |= {letter: parts[2][letter] for letter in LETTERS if letter in parts[2]}
    return {name: _shaped(name, framework.array(value), shape) for name, value in found.items()}


def _shaped(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    if value.shape not in (shape, (1, *shape)):
        raise MinilmError(f"{name} must have shape {shape}, got {value.shape}")
    return value.reshape(shape)


_WORDS = {
    "numpy": (
        "import numpy as np",
        "np.split(z, 4, axis=-1)",
        "1 / (1 + np.exp(-z))",
        "np.tanh",
    ),
    "torch": ("import torch", "z.chunk(4, dim=-1)", "torch.sigmoid(z)", "torch.tanh"),
    "tensorflow": (
        "import tensorflow as tf",
        "tf.split(z, 4, axis=-1)",
        "tf.sigmoid(z)",
        "tf.tanh",
    ),
}

_PAGE = '''"""One step of my LSTM. Hold it against the reference: minilm compare reference FILE.py"""

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


def template(framework: str) -> str:
    """The text of a file whose LSTM equals the reference.

    >>> template("torch").splitlines()[2]
    'import torch'
    """
    if framework not in _WORDS:
        raise MinilmError(f"There are templates for {', '.join(_WORDS)}, got {framework!r}")
    imports, split, sigmoid, tanh = _WORDS[framework]
    return _PAGE.format(imports=imports, split=split, sigmoid=sigmoid, tanh=tanh)
