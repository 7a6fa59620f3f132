"""A student's LSTM compared with the reference: the first difference and its cause, in three frameworks."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from minilm.cli.compare.group import command
from minilm.comparison.student import case
from minilm.comparison.student.compare import _Fits as Fits
from minilm.comparison.student.compare import compare_files, compare_models, compare_student
from minilm.comparison.student.contract import Framework, call_student, make_template
from minilm.comparison.student.guesses import ORDERS, OTHERS, find_guess, guesses_for
from minilm.comparison.student.variant import Variant
from minilm.errors import MinilmError

FRAMEWORKS = ("numpy", "torch", "tensorflow")
NUMPY = Framework("numpy", np.array, lambda value: np.asarray(value, np.float64))
BROKEN = "first difference at t=0, candidate, 1.1; equal to the reference if the gates are ordered i,f,o,g"
EQUAL = "equal to the reference at all 36 steps: cell and hidden state within 1e-05"


def broken(framework):
    return make_template(framework).replace("i, f, g, o = ", "i, f, o, g = ", 1)


def written(folder, text, name="my_lstm.py"):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def numpy_file(folder, body):
    return written(
        folder, f"import numpy as np\n\n\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n\n\n{body}"
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_broken_file_and_the_fixed_one_get_the_same_sentences_in_every_framework(framework, tmp_path):
    pytest.importorskip(framework)
    for text, code, sentence in ((broken(framework), 1, BROKEN), (make_template(framework), 0, EQUAL)):
        path = written(tmp_path, text)
        began = time.perf_counter()
        done = CliRunner().invoke(command, ["reference", str(path)])
        assert done.output.splitlines()[0] == sentence
        assert done.exit_code == code
        print(f"{framework}: {time.perf_counter() - began:.1f} s")


@pytest.mark.parametrize("one", case.CASES, ids=lambda one: one.name)
def test_the_cases_are_the_numpy_backends_lstm(one):
    from minilm.backends import create

    net = create("numpy", case.CONFIG, "float64", weights=case.make_case_weights(one))
    computed = case.run_case(case=one)
    for row, ids in enumerate(one.ids):
        reading = net.read(ids, rows="all", inner=("hidden.0", "cell.0", "gates.0"))
        assert np.abs(computed["logits"][row] - reading.logits).max() < 1e-13
        assert np.abs(computed["cell"][row] - reading.inner["cell.0"]).max() < 1e-13
        gates = np.concatenate([computed[letter][row] for letter in "ifgo"], axis=-1)
        assert np.abs(gates - reading.inner["gates.0"]).max() < 1e-13


def test_the_cases_leave_no_room_to_hide():
    """Every id is read, no two rows are equal, and with larger weights gates close and cells pass 10."""
    for one in case.CASES:
        assert {token for row in one.ids for token in row} == set(range(case.CONFIG.vocab_size))
        assert len(set(one.ids)) == 2
    large = case.run_case(case=case.LARGE)
    for letter in "ifo":
        assert large[letter].min() < 0.01
        assert large[letter].max() > 0.99
    assert large["cell"].max() > 10
    assert large["cell"].min() < -10


def shown_by(variant, names):
    return {one.name: {name: case.run_case(variant, one)[name] for name in names} for one in case.CASES}


SHOWN = {
    "lstm_step": ("cell", "hidden"),
    "lstm": ("hidden",),
    "make_lstm": ("hidden",),
    "make_model": ("logits",),
}


@pytest.mark.parametrize("function", SHOWN)
def test_every_guess_is_distinguished_from_every_other(function):
    """No two guesses give the same numbers, and none gives those of the reference."""
    guesses = guesses_for(function)
    with np.errstate(all="ignore"):
        found = [shown_by(variant, SHOWN[function]) for variant in (Variant(), *(g.variant for g in guesses))]
    said = ["the reference", *(guess.said for guess in guesses)]
    flat = np.array([np.concatenate([a.ravel() for c in one.values() for a in c.values()]) for one in found])
    for number in range(1, len(flat)):
        # Within 1e-5 two guesses count as equal, and the first one would be named for both.
        near = np.abs(flat[:number] - flat[number]).max(axis=1) < 2e-5
        assert not near.any(), f"{said[number]}: {said[int(near.argmax())]}"
    for guess, numbers in list(zip(guesses, found[1:], strict=True))[::40]:
        assert find_guess(Fits(numbers), function) is guess
    print(f"{len(guesses)} mistakes named from {' and '.join(SHOWN[function])} of {function} alone")


def test_two_mistakes_at_once_are_both_named():
    dice = np.random.default_rng(0)
    for _ in range(3):
        one, other = (OTHERS[0], ORDERS[dice.integers(23)])
        guess = find_guess(Fits(shown_by((one & other).variant, ("hidden",))), "lstm")
        assert guess is not None
        assert set(guess.changes) == {"bias", "order"}
        assert guess.variant == Variant(bias=0.0, order=other.changes["order"])


def test_what_no_guess_explains_is_still_placed(tmp_path):
    body = make_template("numpy").replace("sigmoid(f)", "0.9 * sigmoid(f)")
    verdict = compare_student(written(tmp_path, body))
    assert verdict.guess is None
    tenth = 0.1 * case.run_case()["f"][0, 0].max()
    assert verdict.sentence == f"first difference at t=0, forget gate, {tenth:.2g}"


def test_a_whole_sequence_may_show_its_gates(tmp_path):
    body = """def lstm(inputs, kernel, recurrent, bias):
    h = c = np.zeros(4)
    rows, gates = [], []
    for x in inputs:
        z = np.split(x @ kernel + h @ recurrent + bias, 4)
        i, f, o, g = sigmoid(z[0]), sigmoid(z[1]), sigmoid(z[3]), np.tanh(z[2])
        c = c + i * g
        h = o * np.tanh(c)
        rows.append((h, c))
        gates.append((i, f, g, o))
    h, c = zip(*rows)
    return np.array(h), np.array(c), dict(zip("ifgo", np.array(gates).swapaxes(0, 1)))
"""
    verdict = compare_student(numpy_file(tmp_path, body))
    assert verdict.sentence.endswith("equal to the reference if the new cell is c + i*g")
    assert verdict.sentence.startswith("first difference at t=1, cell, ")


def test_a_torch_layer_with_copied_weights_is_a_subject(tmp_path):
    pytest.importorskip("torch")
    body = """import torch
from torch import nn


def make_lstm(kernel, recurrent, bias):
    layer = nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(kernel.T)
        layer.weight_hh_l0.copy_(recurrent.T)
        layer.bias_ih_l0.copy_(bias)
        layer.bias_hh_l0.copy_(bias)
    return layer
"""
    verdict = compare_student(written(tmp_path, body))
    assert verdict.sentence.endswith("equal to the reference if its bias is added twice")
    zeroed = body.replace("bias_hh_l0.copy_(bias)", "bias_hh_l0.zero_()")
    assert compare_student(written(tmp_path, zeroed)).equal


def test_a_whole_keras_model_is_a_subject(tmp_path):
    pytest.importorskip("tensorflow")
    body = """import keras


def make_model(weights):
    ids = keras.Input((None,), dtype="int32")
    layers = keras.layers.Embedding(7, 3), keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(7)
    values = ids
    for layer in layers:
        values = layer(values)
    net = keras.Model(ids, values)
    net.set_weights([array.numpy() for array in weights.values()])
    return net
"""
    assert compare_student(written(tmp_path, body)).sentence == (
        "equal to the reference at all 36 steps: logits within 1e-05"
    )


def test_the_code_may_take_rows_or_vectors():
    def by_rows(x, h, c, kernel, recurrent, bias):
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        return o * np.tanh(c), c

    found = call_student({"lstm_step": by_rows}, NUMPY)["lstm_step"].cases
    assert list(found) == ["usual", "large weights", "rows"]
    assert np.abs(found["usual"]["hidden"] - case.run_case()["hidden"]).max() < 1e-13


def test_two_files_are_compared_with_each_other(tmp_path):
    one, other = (
        written(tmp_path, text, f"{n}.py") for n, text in enumerate((make_template("numpy"), broken("numpy")))
    )
    assert str(compare_files(one, other).first).startswith("first difference at t=0, cell, ")
    assert (
        compare_files(one, one).sentence
        == "equal to 0.py at all 36 steps: cell and hidden state within 1e-05"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must define one of lstm_step"),
        ("def lstm_step(*a):\n    return 1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("def lstm_step(x, h, c, *a):\n    return h", "must return h, c"),
        (
            "import numpy as np\ndef lstm_step(x, h, c, *a):\n    return np.zeros(2), c",
            r"hidden must have shape \(4,\), got \(2,\)",
        ),
        ("def f(:", "line 1: SyntaxError"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import os\nos._exit(3)", "ended without an answer .exit code 3."),
        ("while True:\n    pass", "still running after 2 s"),
        ("import no_such_thing", "ModuleNotFoundError"),
    ],
)
def test_a_file_that_fails_is_one_line_for_its_author(text, message, tmp_path):
    with pytest.raises(MinilmError, match=message) as raised:
        compare_student(written(tmp_path, text), seconds=2.0 if "while" in text else 60.0)
    assert "\n" not in str(raised.value)


def test_nan_is_a_difference(tmp_path):
    text = make_template("numpy").replace("h = o *", "h = float('nan') *")
    assert "hidden state, nan" in compare_student(written(tmp_path, text)).sentence


def test_the_command_prints_the_template_and_json(tmp_path):
    printed = CliRunner().invoke(command, ["--template", "numpy"])
    assert printed.output == make_template("numpy")
    path = written(tmp_path, broken("numpy"))
    line = json.loads(CliRunner().invoke(command, ["reference", str(path), "--json"]).output)
    assert line["student"]["sentence"] == BROKEN
    assert line["student"]["guess"]["changes"] == {"order": "ifog"}
    for wrong in (["reference"], [str(path), "reference"], ["reference", str(tmp_path / "none.py")]):
        assert isinstance(CliRunner().invoke(command, wrong).exception, MinilmError)


def test_our_process_imports_no_framework(tmp_path):
    script = (
        "import sys; from minilm.comparison.student.compare import compare_student; "
        f"compare_student({str(written(tmp_path, make_template('numpy')))!r}); "
        "print([name for name in ('torch', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def small_net(arrays, order=(0, 1, 2, 3)):
    """A torch net with canonical arrays, its gates read in another order."""
    import torch
    from torch import nn

    def blocks(name):
        parts = np.split(np.array(arrays[name]), 4, axis=-1)
        return torch.tensor(np.concatenate([parts[k] for k in order], axis=-1))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(7, 3), nn.Linear(4, 7)
            self.lstm = nn.LSTM(3, 4, batch_first=True)
            with torch.no_grad():
                self.table.weight.copy_(torch.tensor(np.array(arrays["embedding"])))
                self.lstm.weight_ih_l0.copy_(blocks("lstm.0.kernel").T)
                self.lstm.weight_hh_l0.copy_(blocks("lstm.0.recurrent").T)
                self.lstm.bias_ih_l0.copy_(blocks("lstm.0.bias"))
                self.lstm.bias_hh_l0.zero_()
                self.head.weight.copy_(torch.tensor(np.array(arrays["head.kernel"])).T)
                self.head.bias.copy_(torch.tensor(np.array(arrays["head.bias"])))

        def forward(self, ids, state=None):
            values, state = self.lstm(self.table(ids), state)
            return self.head(values), state

    return Net()


def test_a_wrapped_net_is_compared_with_any_model():
    pytest.importorskip("torch")
    from minilm.backends import create, wrap

    reference = create("numpy", case.CONFIG, weights=case.make_case_weights())
    arrays = reference.weights()
    equal = compare_models(reference, wrap(small_net(arrays)), [1, 2, 3, 2, 1])
    assert equal.sentence.startswith("equal to numpy at all 5 steps: logits within")
    other = compare_models(reference, wrap(small_net(arrays, (0, 1, 3, 2))), [1, 2, 3, 2, 1])
    assert other.sentence.startswith("first difference at t=0, candidate, ")
    assert other.sentence.endswith("; equal to numpy if the gates are ordered i,f,o,g")
    ours = compare_models(
        reference, create("torch", case.CONFIG, weights=case.make_case_weights()), [1, 2, 3]
    )
    assert ours.equal
    assert ours.compared == (
        "input gate", "forget gate", "candidate", "output gate", "cell", "hidden state", "logits"
    )  # fmt: skip


def test_models_of_other_vocabularies_and_mixed_subjects_are_refused(tmp_path):
    from minilm.backends import create
    from minilm.records import ModelConfig

    with pytest.raises(MinilmError, match="one vocabulary"):
        compare_models(create("numpy", case.CONFIG), create("numpy", ModelConfig(8, 3, 4)), [1])
    path = written(tmp_path, make_template("numpy"))
    found = CliRunner().invoke(command, [str(tmp_path), str(path)]).exception
    assert "A file is compared with reference or with a file" in str(found)


def test_two_folders_are_compared_by_the_command():
    from minilm import builtin

    folder = str(builtin.folder())
    done = CliRunner().invoke(command, [folder, folder, "--prompt", "Once upon"])
    assert done.exit_code == 0, done.output
    assert "output gate, cell, hidden state and logits within" in done.output
