"""Whole files: what people write is accepted, and what hides in one row or one run is found and named."""

import subprocess
import sys
import time

import pytest

from minilm.comparison.student.compare import compare_student
from minilm.comparison.student.contract import make_template
from minilm.errors import MinilmError
from minilm.faces.comparison import student_lines

SIGMOID = "import numpy as np\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n"

LSTM = (
    SIGMOID
    + """
def lstm(inputs, kernel, recurrent, bias):
    h = np.zeros(4); c = np.zeros(4); hs = []; cs = []
    for x in inputs:
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        hs.append(h); cs.append(c)
    RETURN
"""
)

STEP = (
    SIGMOID
    + """
def lstm_step(x, h, c, kernel, recurrent, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, c
"""
)

TORCH_LSTM = """import torch
from torch import nn
def make_lstm(kernel, recurrent, bias):
    layer = nn.LSTM(3, 4, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(kernel.T); layer.weight_hh_l0.copy_(recurrent.T)
        layer.bias_ih_l0.copy_(bias); layer.bias_hh_l0.zero_()
    return layer
"""

BY_HAND = """import torch
class Layer:
    def __init__(self, kernel, recurrent, bias):
        self.kernel, self.recurrent, self.bias = kernel, recurrent, bias
    def __call__(self, x):
        rows, steps, _ = x.shape
        h = c = torch.zeros(rows, 4)
        hs = []
        for t in range(steps):
            i, f, g, o = (x[:, t] @ self.kernel + h @ self.recurrent + self.bias).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            hs.append(h)
        return torch.stack(hs, 1)
def make_lstm(kernel, recurrent, bias): return Layer(kernel, recurrent, bias)
"""

NET = """import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.emb = nn.Embedding(7, 3); self.lstm = nn.LSTM(3, 4, batch_first=True); self.fc = nn.Linear(4, 7)
        with torch.no_grad():
            self.emb.weight.copy_(w["embedding"])
            self.lstm.weight_ih_l0.copy_(w["lstm.0.kernel"].T)
            self.lstm.weight_hh_l0.copy_(w["lstm.0.recurrent"].T)
            self.lstm.bias_ih_l0.copy_(w["lstm.0.bias"]); self.lstm.bias_hh_l0.zero_()
            self.fc.weight.copy_(w["head.kernel"].T); self.fc.bias.copy_(w["head.bias"])
    def forward(self, ids):
        return self.fc(self.lstm(self.emb(ids))[0])
def make_model(weights): return Net(weights)
"""


def judge(folder, text, seconds=60.0):
    if "import torch" in text:
        pytest.importorskip("torch")
    path = folder / "my_lstm.py"
    path.write_text(text, "utf-8")
    return compare_student(path, seconds)


def changed(text, *changes):
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize(
    "answer",
    [
        "return hs",
        "return np.array(hs)",
        "return hs, cs",
        "return np.array(hs), (h, c)",
        "return np.array(hs), h, c",
        "return list(zip(hs, cs))",
        "return np.array(hs)[None]",
        "return {'hidden': hs, 'cell': cs}",
        "return np.stack(hs), {'last': h}",
    ],
)
def test_the_forms_in_which_people_return_a_sequence_are_equal(answer, tmp_path):
    assert judge(tmp_path, changed(LSTM, ("RETURN", answer))).equal


@pytest.mark.parametrize("answer", ["[h, c]", "np.stack([h, c])", "h, (h, c)", "{'h': h, 'c': c}"])
def test_the_forms_in_which_people_return_a_step_are_equal(answer, tmp_path):
    assert judge(tmp_path, changed(STEP, ("return h, c", f"return {answer}"))).equal


@pytest.mark.parametrize("text", [TORCH_LSTM, BY_HAND, NET], ids=["nn.LSTM", "by hand", "net"])
def test_layers_and_nets_with_several_rows_are_equal(text, tmp_path):
    verdict = judge(tmp_path, text)
    assert verdict.equal, verdict.sentence
    assert set(verdict.not_run) <= {"the last state (h, c) that is returned beside the outputs"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("return h", "not only the last"),
        ("return [np.zeros(4), *hs]", "leave out the state before the first step"),
        ("return {'x': hs}", "got a dict of x"),
    ],
)
def test_another_answer_is_refused_with_what_to_do(answer, message, tmp_path):
    with pytest.raises(MinilmError, match=message):
        judge(tmp_path, changed(LSTM, ("RETURN", answer)))


NAMED = [
    (
        changed(
            LSTM,
            ("def lstm(", "state = [np.zeros(4), np.zeros(4)]\ndef lstm("),
            ("h = np.zeros(4); c = np.zeros(4)", "h, c = state"),
            ("RETURN", "state[:] = h, c\n    return hs"),
        ),
        "the state of the last call is kept",
    ),
    # case 18
    (changed(BY_HAND, ("torch.stack(hs, 1)", "torch.stack(hs).view(rows, steps, -1)")), "the rows are mixed"),
    (
        changed(BY_HAND, ("x[:, t]", "x.view(steps, rows, -1)[t]")),
        "the rows are mixed: the inputs (B, T, E) are reshaped to (T, B, E)",
    ),
    # case 21
    (changed(TORCH_LSTM, (", batch_first=True", "")), "axis 0 is read as the time"),
    # case 23
    (changed(STEP, ("x, h, c,", "x, c, h,")), "h and c are taken in the wrong order"),
    (
        changed(
            STEP,
            ("x @ kernel + h @ recurrent", "np.concatenate([x, h], -1) @ np.vstack([recurrent, kernel])"),
        ),
        "x and h are joined the other way round",
    ),
    (
        changed(STEP, ("return 1 / (1 + np.exp(-z))", "return z")),
        "i, f and o go through nothing",
    ),
    (changed(STEP, ("sigmoid(o) * np.tanh(c)", "np.tanh(c)")), "h is tanh(c): o is missing"),
    # case 24
    (
        changed(STEP, ("    h = sig", "    c = np.clip(c, -1, 1)\n    h = sig")),
        "its cell is clamped to [-1, 1]",
    ),
    (changed(STEP, ("    h = sig", "    c = np.clip(c, -5, 5)\n    h = sig")), "clamped to [-5, 5]"),
    # student/: the mistake is in the name of the file
    (
        changed(STEP, ("x @ kernel + h @ recurrent", "np.hstack([h, x]) @ np.vstack([kernel, recurrent])")),
        "[h, x] meets [kernel; recurrent]",
    ),
    (changed(STEP, ("* np.tanh(c)", "* np.tanh(np.tanh(c))")), "tanh(tanh(c))"),
    (
        changed(
            STEP,
            ("    i, f, g", "    x, h, c = (a.astype('float16') for a in (x, h, c))\n    i, f, g"),
            ("    return h, c", "    return h.astype('float16'), c.astype('float16')"),
        ),
        "its numbers are float16",
    ),
    (
        changed(NET, ('self.fc.bias.copy_(w["head.bias"])', "self.fc.bias.zero_()")),
        "the bias of its head is left out",
    ),
    (changed(STEP, ("sigmoid(f)", "f")), "f goes through nothing"),
    (changed(STEP, (" + h @ recurrent", "")), "h @ recurrent is missing"),
    (changed(STEP, ("sigmoid(f) * c + ", "")), "the forget term is missing"),
    (
        changed(LSTM, ("h @ recurrent", "0 * h @ recurrent"), ("RETURN", "return hs")),
        "h is not carried on",
    ),
    (
        changed(
            BY_HAND,
            (
                "h = c = torch.zeros(rows, 4)",
                "h, c = getattr(self, 'state', (torch.zeros(rows, 4), torch.zeros(rows, 4)))",
            ),
            ("        return torch", "        self.state = h, c\n        return torch"),
        ),
        "the state of the last call is kept",
    ),
    (
        changed(
            BY_HAND,
            (
                "        return torch",
                "        hs = [h * torch.tensor([[0.0], [1.0]]) for h in hs]\n        return torch",
            ),
        ),
        "row 0 is zeroed",
    ),
    (
        changed(
            NET,
            ("nn.Embedding(7, 3)", "nn.Embedding(7, 3, padding_idx=0)"),
            ('copy_(w["embedding"])', 'copy_(w["embedding"]); self.emb.weight[0] = 0'),
        ),
        "the embedding of id 0 is zero",
    ),
    (changed(NET, ("self.emb(ids)", "self.emb(ids) * 3 ** 0.5")), "multiplied by the root of E"),
    (changed(NET, ("; self.lstm.bias_hh_l0.zero_()", "")), "lstm.bias_hh_l0 is left at random values"),
    (
        changed(BY_HAND, ("torch.stack(hs, 1)", "torch.dropout(torch.stack(hs, 1), 0.5, True)")),
        "so something is random",
    ),
    (
        changed(
            LSTM,
            ("        i, f", "        hs.append(h)\n        i, f"),
            ("hs.append(h); cs", "cs"),
            ("RETURN", "return hs"),
        ),
        "its outputs are one step late",
    ),
    (
        changed(LSTM, ("in inputs:", "in inputs[::-1]:"), ("RETURN", "return hs[::-1]")),
        "reads backwards and then flips",
    ),
    (changed(STEP, ("1 / (1 + np.exp(-z))", "np.clip(0.2 * z + 0.5, 0, 1)")), "the hard sigmoid 0.2z + 0.5"),
    (changed(STEP, ("np.exp(-z)", "np.exp(z)")), "the sigmoid of -z"),
    (
        changed(
            STEP, ("return 1 / (1 + np.exp(-z))", "e = np.exp(z)\n    return e / e.sum(-1, keepdims=True)")
        ),
        "i, f and o go through softmax",
    ),
    (
        changed(
            STEP,
            (" + bias, 4", ", 4"),
            ("    c = sig", "    bi, bf, bg, bo = np.split(bias, 4)\n    c = sig"),
            (
                "sigmoid(f) * c + sigmoid(i) * np.tanh(g)",
                "(sigmoid(f) + bf) * c\n    c = c + (sigmoid(i) + bi) * (np.tanh(g) + bg)",
            ),
            ("sigmoid(o) *", "(sigmoid(o) + bo) *"),
        ),
        "its bias is added after the activations",
    ),
    (
        changed(
            STEP,
            (
                "    h = sig",
                "    z = x @ kernel + np.tanh(c) @ recurrent + bias\n    o = z[..., -4:]\n    h = sig",
            ),
        ),
        "o is computed from tanh of the new cell",
    ),
    (changed(STEP, ("sigmoid(o)", "sigmoid(o + c)")), "the new cell is added to o"),
]


@pytest.mark.parametrize(("text", "said"), NAMED, ids=[said for _, said in NAMED])
def test_a_mistake_is_found_and_named(text, said, tmp_path):
    verdict = judge(tmp_path, text)
    assert not verdict.equal
    assert verdict.guess is not None, verdict.sentence
    assert said in verdict.sentence


def test_a_mask_of_keras_skips_id_0(tmp_path):
    pytest.importorskip("tensorflow")
    text = """import keras
def make_model(weights):
    ids = keras.Input((None,), dtype="int32")
    values = keras.layers.Embedding(7, 3, mask_zero=True)(ids)
    values = keras.layers.LSTM(4, return_sequences=True)(values)
    net = keras.Model(ids, keras.layers.Dense(7)(values))
    names = "embedding", "lstm.0.kernel", "lstm.0.recurrent", "lstm.0.bias", "head.kernel", "head.bias"
    arrays = [weights[name].numpy() for name in names]
    for layer, size in zip([one for one in net.layers if one.weights], (1, 3, 2)):
        layer.set_weights(arrays[:size])
        arrays = arrays[size:]
    return net
"""
    assert "the steps of id 0 are skipped" in judge(tmp_path, text).sentence


def test_the_state_of_one_row_does_not_reach_the_next(tmp_path):
    """A batch leak: one row alone is right."""
    text = changed(
        BY_HAND,
        (
            "        h = c = torch.zeros(rows, 4)\n        hs = []\n",
            "        h = c = torch.zeros(4)\n        hs = []\n",
        ),
        ("for t in range(steps):", "for b, t in ((b, t) for b in range(rows) for t in range(steps)):"),
        ("x[:, t]", "x[b, t]"),
        ("torch.stack(hs, 1)", "torch.stack(hs).view(rows, steps, 4)"),
    )
    verdict = judge(tmp_path, text)
    assert verdict.first is not None
    assert verdict.first.row == 1
    assert "the state runs on from row to row" in verdict.sentence


def test_a_right_step_does_not_hide_a_wrong_sequence(tmp_path):
    wrong = changed(LSTM, ("sigmoid(f) * c + ", ""), ("RETURN", "return hs")).replace(SIGMOID, "")
    verdict = judge(tmp_path, STEP + wrong)
    assert verdict.functions == ("lstm_step", "lstm")
    assert verdict.sentence.startswith("lstm: first difference at t=1, ")
    assert "functions that were run: lstm_step, lstm" in student_lines(verdict)


def test_another_function_of_the_same_name_is_noted_and_not_judged(tmp_path):
    verdict = judge(tmp_path, STEP + "\ndef lstm(x, h):\n    return 1 / 0\n")
    assert verdict.equal
    assert "lstm: it does not take (inputs, kernel, recurrent, bias)" in verdict.not_run


def test_code_for_one_row_is_equal_and_it_is_said(tmp_path):
    text = changed(BY_HAND, ("= torch.zeros(rows, 4)", "= torch.zeros(1, 4)\n        assert rows == 1"))
    verdict = judge(tmp_path, text)
    assert verdict.equal
    assert verdict.not_run[0].startswith("several rows at once")


@pytest.mark.parametrize("line", ["input()", "import sys; sys.stdin.read()", "open(0).read()"])
def test_a_file_that_waits_for_the_keyboard_is_named_at_once(line, tmp_path):
    """The parent's standard input stays open, as in a terminal."""
    path = tmp_path / "my_lstm.py"
    path.write_text(f"x = 1\n{line}\n" + STEP, "utf-8")
    script = (
        "from minilm.comparison import compare_student\nfrom minilm.errors import MinilmError\n"
        f"try: print(compare_student({str(path)!r}, 20.0).sentence)\n"
        "except MinilmError as error: print(error)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    process.communicate()
    # A file that opens the device itself reads an empty one, and goes on.
    assert "line 2: the file waits for input()" in said or ("open(0)" in line and "equal to" in said)


def test_a_thread_that_is_left_behind_is_named_and_does_not_wait(tmp_path):
    text = (
        STEP
        + "\nimport threading, time\nthreading.Thread(target=time.sleep, args=(50,), name='endless').start()"
    )
    began = time.monotonic()
    verdict = judge(tmp_path, text, 40.0)
    assert time.monotonic() - began < 30
    assert verdict.equal
    assert "leaves a thread running (endless)" in student_lines(verdict)


def test_children_of_a_file_end_with_it(tmp_path):
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(4); pathlib.Path({str(mark)!r}).write_text('x')"
    text = STEP + f"\nimport subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])\n"
    assert judge(tmp_path, text).equal
    time.sleep(5)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"functions": {}}', '{"functions": {"lstm": {"cases": 3}}}', "\\xff"]
)
def test_a_forged_answer_is_one_line(content, tmp_path, monkeypatch):
    """A file that writes into our answer and ends at once: nothing of it is believed."""
    from minilm.comparison.student import run_file

    def forge(file, answer, output, seconds):
        answer.write_text(content, "utf-8")
        output.write_text("", "utf-8")
        return 0

    monkeypatch.setattr(run_file, "_run_worker", forge)
    with pytest.raises(MinilmError, match="cannot be read"):
        judge(tmp_path, make_template("numpy"))
