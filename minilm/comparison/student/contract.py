"""The functions that a student's file may define, and how each is called; every one that it defines is run.

    lstm_step(x, h, c, kernel, recurrent, bias) -> h, c      or h, c, {"i": i, "f": f, "g": g, "o": o}
    lstm(inputs, kernel, recurrent, bias) -> hidden (T, H)   or hidden, cell or hidden, cell, gates
    make_lstm(kernel, recurrent, bias) -> layer              layer(inputs (B, T, E)) -> outputs (B, T, H)
    make_model(weights) -> net                               net(ids (B, T)) -> logits (B, T, V)

kernel (E, 4H), recurrent (H, 4H), bias (4H,): gates in the order i, f, g, o. They are arrays, or tensors of
the framework that the file imports. x is (E,) and h, c are (H,). Where the code needs rows, they are (1, E)
and (1, H), and inputs are (1, T, E). answers.py says in which other forms an answer is accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.answers import (
    SwappedAxesError,
    read_layer,
    read_logits,
    read_sequence,
    read_step,
)
from minilm.comparison.student.case import CASES, LARGE, USUAL, Case
from minilm.difference import largest_difference
from minilm.errors import MinilmError, first_line
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["CONTRACT", "Answers", "Framework", "call_student", "make_template"]

CONTRACT = {
    "lstm_step": ("x", "h", "c", "kernel", "recurrent", "bias"),
    "lstm": ("inputs", "kernel", "recurrent", "bias"),
    "make_lstm": ("kernel", "recurrent", "bias"),
    "make_model": ("weights",),
}


@dataclass(frozen=True)
class Framework:
    """The framework of a student's file.

    Attributes:
        name: "numpy", "torch" or "tensorflow".
        tensor: makes a value of the framework from an array.
        array: makes an array from a value of the framework.
        ask: (net, ids (B, T)) -> the net's answer, without dropout.
        read: (net, ids (T,)) -> logits (T, V) of a net that needs more than ids; None for NumPy.
        parameters: net -> its parameters by name, where it shows them.
    """

    name: str
    tensor: Callable[[Array], Any]
    array: Callable[[Any], Array]
    ask: Callable[[Any, Array], Any] = lambda net, ids: net(ids)
    read: Callable[[Any, Array], Array] | None = None
    parameters: Callable[[Any], Mapping[str, Array]] = lambda net: {}


@dataclass
class Answers:
    """The numbers of one function of a student's file.

    Attributes:
        cases: by the name of a case, arrays (B, T, ...) by the names of case.run_case. "rows" is the usual
            case with all rows in one call of lstm_step. "probed f" is the forget gate of a step that shows no
            gates.
        again: the usual case, called once more.
        remade: the usual case, from a layer or net that is made once more from the same weights.
        random: the parameters that differ between the two nets.
        notes: what was not run or not compared, and why.
    """

    cases: dict[str, dict[str, Array]] = field(default_factory=dict)
    again: dict[str, Array] = field(default_factory=dict)
    remade: dict[str, Array] = field(default_factory=dict)
    random: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    __repr__ = one_line


def call_student(names: Mapping[str, Any], framework: Framework) -> dict[str, Answers]:
    """Call every function of CONTRACT that a student's file defines.

    Args:
        names: what the file defines, by name.
        framework: the framework that the file computes with.

    Returns:
        The answers by the name of the function. What has the name of one of them but other arguments is
        noted in the first answers.

    Raises:
        MinilmError: for a file without one of CONTRACT, or an answer of another shape.
    """
    defined = [name for name in CONTRACT if callable(names.get(name))]
    if not defined:
        raise MinilmError(
            f"The file must define one of {', '.join(CONTRACT)}; see minilm compare --template numpy"
        )
    fitting = [name for name in defined if _takes_arguments(names[name], len(CONTRACT[name]))]
    calls = {"lstm_step": _call_step, "lstm": _call_lstm, "make_lstm": _call_layer, "make_model": _call_model}
    found = {name: calls[name](names[name], framework) for name in fitting or defined[:1]}
    for name in defined:
        if name not in found:
            note = f"{name}: it does not take ({', '.join(CONTRACT[name])})"
            next(iter(found.values())).notes.append(note)
    return found


def _takes_arguments(function: Any, count: int) -> bool:
    """Return False for code that cannot be called with so many arguments, or is no function."""
    known = inspect.isroutine(function) or inspect.isclass(function) or isinstance(function, partial)
    # A traced function of TensorFlow is an object that knows the function.
    if not known and not hasattr(function, "python_function"):
        return False
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    # Some built-in functions show no signature.
    except ValueError:
        return True
    return True


def _try_forms(call: Callable[[Any], Any], forms: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the first form in which the code can be called, and its answer.

    Where both fail, the student sees the failure of the first.
    """
    try:
        return forms[0], call(forms[0])
    except Exception as error:
        try:
            return forms[1], call(forms[1])
        except Exception:
            raise error from None


def _call_step(step: Callable[..., Any], framework: Framework) -> Answers:
    """Call lstm_step for each t, with vectors or with rows, whichever the code takes."""
    forms = ((1, -1), (-1,)) if framework.name == "tensorflow" else ((-1,), (1, -1))
    form, _ = _try_forms(lambda form: _run_steps(step, framework, USUAL, 0, form), forms)

    def run(one: Case) -> dict[str, Array]:
        return _stack([_run_steps(step, framework, one, row, form) for row in range(len(one.ids))])

    answers = Answers({one.name: run(one) for one in CASES}, run(USUAL))
    try:
        answers.cases["rows"] = _run_steps(step, framework, USUAL, slice(None), (2, -1))
    except Exception as error:
        answers.notes.append(f"several rows in one call of lstm_step ({_name_error(error)})")
    return answers


def _run_steps(
    step: Callable[..., Any], framework: Framework, one: Case, row: int | slice, form: tuple[int, ...]
) -> dict[str, Array]:
    """Run lstm_step over the inputs of one row, or of all rows at once."""
    weights = [framework.tensor(array) for array in case.make_layer(one)]
    inputs = case.make_inputs(one)[row]
    shape = (*inputs.shape[:-2], case.CONFIG.hidden_size)
    found: list[dict[str, Array]] = []
    hidden = cell = np.zeros(shape)

    def call(x: Array, h: Array, c: Array) -> dict[str, Array]:
        given = [framework.tensor(part.reshape(form)) for part in (x, h, c)]
        return read_step(step(*given, *weights), shape, framework.array)

    for x in np.moveaxis(inputs, -2, 0):
        answer = call(x, hidden, cell)
        if "f" not in answer and one is USUAL:
            answer |= _probe_forget_gate(answer, *(call(x, hidden, cell + more) for more in (1, 2)))
        hidden, cell = answer["hidden"], answer["cell"]
        found.append(answer)
    shared = [name for name in found[0] if all(name in answer for answer in found)]
    return {name: np.stack([answer[name] for answer in found], axis=-2) for name in shared}


def _probe_forget_gate(
    answer: Mapping[str, Array], one: Mapping[str, Array], two: Mapping[str, Array]
) -> dict[str, Array]:
    """Find the forget gate of code that shows no gates.

    The new cell is f*c + i*g, so 1 more in c adds f to it, and 2 more add 2f.
    """
    once, twice = one["cell"] - answer["cell"], two["cell"] - answer["cell"]
    return {"probed f": once} if largest_difference(twice, 2 * once) < 1e-5 else {}


def _call_lstm(lstm: Callable[..., Any], framework: Framework) -> Answers:
    """Call lstm for each row, with inputs (T, E) or (1, T, E), whichever the code takes."""
    notes: list[str] = []

    def run(one: Case, row: int, rows: tuple[int, ...]) -> dict[str, Array]:
        inputs = case.make_inputs(one)[row]
        arrays = (inputs.reshape(*rows, *inputs.shape), *case.make_layer(one))
        given = [framework.tensor(array) for array in arrays]
        shape = (len(inputs), case.CONFIG.hidden_size)
        return read_sequence(lstm(*given), shape, framework.array, notes)

    rows, first = _try_forms(lambda rows: run(USUAL, 0, rows), ((), (1,)))
    # The same row again at once: a state that is kept from call to call shows in it.
    second = run(USUAL, 0, rows)
    usual, again, large = (
        [run(one, row, rows) for row in range(begin, len(one.ids))]
        for one, begin in ((USUAL, 1), (USUAL, 1), (LARGE, 0))
    )
    cases = {USUAL.name: _stack([first, *usual]), LARGE.name: _stack(large)}
    return Answers(cases, _stack([second, *again]), notes=list(dict.fromkeys(notes)))


def _call_layer(make: Callable[..., Any], framework: Framework) -> Answers:
    """Call a layer with all rows at once, or with one after the other where it takes only one."""
    notes: list[str] = []

    def make_for(one: Case) -> Any:
        layer = make(*(framework.tensor(array) for array in case.make_layer(one)))
        if not callable(layer):
            got = type(layer).__name__
            raise MinilmError(f"make_lstm must return a layer that can be called, got a {got}")
        return layer

    def run(layer: Any, one: Case, rows: slice) -> dict[str, Array]:
        inputs = case.make_inputs(one)[rows]
        shape = (*inputs.shape[:2], case.CONFIG.hidden_size)
        return read_layer(layer(framework.tensor(inputs)), shape, framework.array, notes)

    return _run_made(make_for, run, framework, notes)


def _call_model(make: Callable[..., Any], framework: Framework) -> Answers:
    """Call a net with all rows at once, or with one after the other where it takes only one."""

    def make_for(one: Case) -> Any:
        net = make({name: framework.tensor(array) for name, array in case.make_case_weights(one).items()})
        if not callable(net):
            raise MinilmError(f"make_model must return a net that can be called, got a {type(net).__name__}")
        return net

    def run(net: Any, one: Case, rows: slice) -> dict[str, Array]:
        ids = case.make_ids(one)[rows]
        shape = (*ids.shape, case.CONFIG.vocab_size)
        try:
            return read_logits(framework.ask(net, ids), shape, framework.array)
        except Exception:
            # A net may need a state beside the ids; minilm.backends.wrap knows how to ask it.
            if len(ids) > 1 or framework.read is None:
                raise
            return {"logits": np.asarray(framework.read(net, ids[0]), np.float64)[None]}

    return _run_made(make_for, run, framework, [])


def _run_made(
    make_for: Callable[[Case], Any],
    run: Callable[[Any, Case, slice], dict[str, Array]],
    framework: Framework,
    notes: list[str],
) -> Answers:
    """Run what make_lstm or make_model makes, twice, and once more made anew."""
    parts = [slice(None)]

    def run_all(made: Any, one: Case) -> dict[str, Array]:
        found = [run(made, one, part) for part in parts]
        return {name: np.concatenate([rows[name] for rows in found]) for name in found[0]}

    made = make_for(USUAL)
    try:
        usual = run_all(made, USUAL)
    except SwappedAxesError:
        raise
    except Exception as error:
        parts = [slice(row, row + 1) for row in range(len(USUAL.ids))]
        try:
            usual = run_all(made, USUAL)
        except Exception as single:
            raise single from None
        notes.append(f"several rows at once ({_name_error(error)})")
    again, other = run_all(made, USUAL), make_for(USUAL)
    remade = run_all(other, USUAL)
    first, second = framework.parameters(made), framework.parameters(other)
    random = [name for name in first if name in second and not np.array_equal(first[name], second[name])]
    large = run_all(make_for(LARGE), LARGE)
    return Answers({USUAL.name: usual, LARGE.name: large}, again, remade, random, list(dict.fromkeys(notes)))


def _stack(rows: list[dict[str, Array]]) -> dict[str, Array]:
    """Return the arrays (B, T, ...) that every row shows."""
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: np.stack([row[name] for row in rows]) for name in shared}


def _name_error(error: Exception) -> str:
    return first_line(str(error), 100, join=True) or type(error).__name__


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
