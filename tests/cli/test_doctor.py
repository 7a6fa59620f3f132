"""minilm doctor: a file, a record, the museum; exit codes and plain words for mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from minilm.cli import command as minilm
from minilm.doctor.museum import EXHIBITS, list_exhibits
from minilm.doctor.run_file import find_frameworks
from minilm.errors import MinilmError

ROOT = Path(__file__).resolve().parents[2]
BROKEN_TRAININGS = ROOT / "lessons" / "broken_trainings"


def run(*words):
    return CliRunner().invoke(minilm, ["doctor", *map(str, words)])


TRAINING = """
import sys
import torch
from torch_loops import BROKEN_LOOPS, Loop
loop = {name}()
for loss in loop.run(1000):
    print("loss", loss, *sys.argv[1:])
"""


def doctor(file, *words, arguments=()):
    done = [sys.executable, "-m", "minilm", "doctor", "--steps", "14", *words, str(file), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(BROKEN_TRAININGS), str(ROOT)])}
    return subprocess.run(done, capture_output=True, text=True, check=False, env=environment)


def test_a_right_file_is_stopped_after_its_steps_and_nothing_is_found(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(TRAINING.format(name="Loop"))
    done = doctor(tmp_path / "train.py", arguments=["--mine", "7"])
    assert (done.returncode, done.stdout) == (0, "nothing found in 14 steps\n"), done.stderr
    assert done.stderr.count("--mine 7") in (13, 14)


def test_a_broken_file_is_named_with_exit_code_1_and_its_record_examined_again(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(TRAINING.format(name="BROKEN_LOOPS[0]"))
    done = doctor(tmp_path / "train.py", "--json", "--record", str(tmp_path / "run.jsonl"))
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["finding"]["name"] == "targets_not_shifted"
    again = run("--run", tmp_path / "run.jsonl", "--json")
    assert (again.exit_code, again.output.splitlines()) == (1, [line])


def test_a_traced_tensorflow_file_is_stopped_too(tmp_path):
    pytest.importorskip("tensorflow")
    source = TRAINING.replace("import torch\n", "import keras\n").replace("torch", "tensorflow")
    (tmp_path / "train.py").write_text(source.format(name="Loop"))
    done = doctor(tmp_path / "train.py")
    assert (done.returncode, done.stdout) == (0, "nothing found in 14 steps\n"), done.stderr


def test_a_file_whose_framework_is_not_installed_fails_and_is_told_how_to_install_it(
    tmp_path,
):
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "found = PathFinder.find_spec\n"
        "PathFinder.find_spec = staticmethod(lambda name, *a: None if name == 'torch' else found(name, *a))\n"
    )
    (tmp_path / "train.py").write_text("import torch")
    words = [sys.executable, "-m", "minilm", "doctor", "train.py"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    *_, error, last = done.stderr.splitlines()
    assert (done.returncode, error) == (2, "ModuleNotFoundError: No module named 'torch'")
    assert last.startswith("minilm: train.py needs torch, which is not installed; ")
    assert 'run_file.py", line' not in done.stderr.partition('train.py", line')[2]


def test_a_file_that_is_not_python_shows_its_own_error(tmp_path):
    (tmp_path / "train.py").write_text("def (:")
    done = doctor(tmp_path / "train.py")
    assert done.returncode == 2
    assert f'File "{tmp_path / "train.py"}", line 1' in done.stderr
    assert "failed before a training step was seen" in done.stderr.splitlines()[-1]


def test_a_file_that_fails_before_a_step_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "train.py").write_text("raise RuntimeError('my own mistake')")
    done = doctor(tmp_path / "train.py")
    assert done.returncode == 2
    assert "my own mistake" in done.stderr
    assert "failed before a training step was seen" in done.stderr.splitlines()[-1]


def test_the_museum_lists_every_exhibit_and_opens_one():
    listed = run("museum")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == [one.name for one in list_exhibits()]
    opened = run("museum", "softmax_twice").output
    assert "softmax_twice  at step 1" in opened
    assert "number  2.247" in opened
    assert run("museum", "softmax_twice", "--path").output.strip() == str(EXHIBITS / "softmax_twice.jsonl")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Give one training file"),
        (["nowhere.py"], "does not exist"),
        (["--run", "nowhere.jsonl"], "cannot be read as a recorded run"),
        (["--steps", "0", "train.py"], "must be at least 1"),
        (["museum", "nothing"], "The museum has no 'nothing'"),
    ],
)
def test_wrong_use_is_told_in_one_line(words, told):
    error = run(*words).exception
    assert isinstance(error, MinilmError)
    assert told in str(error)
    assert "\n" not in str(error)


def test_torch_is_loaded_before_tensorflow():
    assert find_frameworks("import tensorflow as tf\nimport torch.nn as nn") == ["torch", "tensorflow"]


STATE_NOT_DETACHED = """
import torch
from torch import nn
embedding, lstm, head = nn.Embedding(9, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 9)
net = nn.ModuleList([embedding, lstm, head])
optimizer, state = torch.optim.Adam(net.parameters()), None
for step in range(20):
    ids = torch.randint(0, 9, (3, 7))
    outputs, state = lstm(embedding(ids[:, :-1]), state)
    loss = nn.functional.cross_entropy(head(outputs).mT, ids[:, 1:])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""


def test_a_state_that_is_not_detached_is_explained_although_the_file_fails(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(STATE_NOT_DETACHED)
    done = doctor(tmp_path / "train.py")
    assert done.returncode == 1
    assert "s.detach() for s in h" in done.stdout
    assert "the file failed in step 2" in done.stdout


def test_a_file_that_runs_out_of_time_keeps_its_findings(tmp_path):
    pytest.importorskip("torch")
    source = TRAINING.replace("import sys", "import sys, time").replace("print(", "time.sleep(1); print(")
    (tmp_path / "train.py").write_text(source.format(name="BROKEN_LOOPS[0]"))
    done = doctor(tmp_path / "train.py", "--seconds", "10")
    assert done.returncode == 1
    assert "targets_not_shifted" in done.stdout
    assert "stopped after 10 s" in done.stdout


def test_a_project_of_several_files_is_watched(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "parts.py").write_text(TRAINING.format(name="BROKEN_LOOPS[0]"))
    (tmp_path / "train.py").write_text("import parts\n")
    done = doctor(tmp_path / "train.py")
    assert (done.returncode, "targets_not_shifted" in done.stdout) == (1, True)


def test_a_file_that_fails_without_a_finding_is_no_clean_bill(tmp_path):
    pytest.importorskip("torch")
    source = TRAINING.replace("print(", "if float(loss) < 99: raise ValueError('mine')\n    print(")
    (tmp_path / "train.py").write_text(source.format(name="Loop"))
    done = doctor(tmp_path / "train.py")
    assert done.returncode == 2
    assert "ValueError: mine" in done.stdout
