"""Several processes under torchrun: the steps of one; one writes; what is left when one is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="gloo over loopback, SIGKILL and /proc"),
]

FAULTS = ("local tokens", "no all-reduce", "local dropout rows")
JOB = """
import json, sys
from contextlib import nullcontext
import numpy as np
import torch
from minilm import backends
from minilm.backends.torch import distributed as torch_distributed
from minilm.backends.processes import this_worker
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit

CONFIG = ModelConfig(20, 5, 6, layers=2, dropout=0.3, seed=1)
DOCUMENTS = [np.random.default_rng(n).integers(4, 20, 3 + 5 * n) for n in range(9)]
WORKER = this_worker()

def course(model, size, steps=20, **options):
    batches = Batches(DOCUMENTS, size, 12)
    held_out = [batches.batch(step) for step in range(3)]
    options = {"clip": 0.2, "validation": held_out, "every": 5, "watch": True} | options
    found = []
    for step in fit(model, batches, Schedule(1e-2, steps, warm_up=3), **options):
        found.append([step.loss, step.tokens, step.clip_factor, step.validation, step.losses.tolist()])
    return found

def created():
    make = torch_distributed.create if WORKER.size > 1 else backends.create
    return make(*(() if WORKER.size > 1 else ("torch",)), CONFIG, "float64")

class LocalTokens(torch_distributed.DistributedLSTM):
    def _gather(self, own, counted, shape):
        losses, _ = super()._gather(own, counted, shape)
        return losses, max(float(counted.sum()), 1.0) * WORKER.size

class NoAllReduce(torch_distributed.DistributedLSTM):
    def gradients(self, *arguments, **named):
        with self._parallel.no_sync():
            return super().gradients(*arguments, **named)

class LocalDropoutRows(torch_distributed.DistributedLSTM):
    def gradients(self, inputs, targets, mask, dropout=None, denominator=None):
        first = [np.broadcast_to(part[:1], part.shape) for part in dropout]
        return super().gradients(inputs, targets, mask, first, denominator)

told = {}
for size in (1, 3, 4):
    model = created()
    told[f"batch {size}"] = course(model, size)
    if WORKER.leads:
        told[f"weights {size}"] = {name: array.tolist() for name, array in model.snapshot().items()}
model, zeros = created(), np.zeros((2, 4), int)
mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])  # the second worker's row is all padding
told["padding"] = model.gradients(zeros, zeros, mask).loss
told["denominator"] = model.gradients(zeros, zeros, mask, denominator=8).loss
if WORKER.size > 1:
    kinds = dict(zip(json.loads(sys.argv[1]), (LocalTokens, NoAllReduce, LocalDropoutRows), strict=True))
    right = torch_distributed.DistributedLSTM
    for name, kind in kinds.items():
        torch_distributed.DistributedLSTM = kind
        told[name] = course(created(), 3)
    torch_distributed.DistributedLSTM = right
    answers = [torch_distributed.all_equal(7), torch_distributed.all_equal(7 + WORKER.rank)]
    answers.append(torch_distributed.from_first(5 + WORKER.rank))
    told["answers"] = [None] * WORKER.size
    torch.distributed.all_gather_object(told["answers"], answers)
    torch_distributed.finish()
if WORKER.leads:
    print(json.dumps(told))
"""


def torchrun(processes: int) -> list[str]:
    each = ["--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, "-m", "torch.distributed.run", *each]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the job says on one process, and on two."""
    path = tmp_path_factory.mktemp("job") / "job.py"
    path.write_text(JOB)
    job = [str(path), json.dumps(FAULTS)]
    starts = {1: [sys.executable], 2: torchrun(2)}
    found = {}
    for count, start in starts.items():
        done = subprocess.run([*start, *job], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found[count] = json.loads(done.stdout)
    return found


def distance(one, other) -> float:
    """The greatest difference of two nested lists of numbers; None equals None alone."""
    if isinstance(one, list):
        assert len(one) == len(other)
        return max((distance(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    return float(one is not other) if one is None or other is None else abs(one - other)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_two_processes_give_the_losses_of_one(told, size):
    """float64; rows of 2 to 12 targets, dropout on, clipped; of a batch of 1 the first worker has no row."""
    one, several = (told[count][f"batch {size}"] for count in (1, 2))
    assert distance(one, several) < 1e-12
    assert min(step[2] for step in one) < 1
    weights, others = (told[count][f"weights {size}"] for count in (1, 2))
    for name, array in weights.items():
        assert np.abs(np.array(array) - np.array(others[name])).max() < 1e-12, name


@pytest.mark.parametrize("fault", FAULTS)
def test_the_planted_fault_parts_the_losses(told, fault):
    losses, wrong = ([step[0] for step in told[n][key]] for n, key in ((1, "batch 3"), (2, fault)))
    assert distance(losses, wrong) > 1e-4


def test_a_worker_whose_rows_are_all_padding_takes_part(told):
    assert told[2]["padding"] == pytest.approx(told[1]["padding"], abs=1e-12)
    assert told[2]["denominator"] == pytest.approx(told[2]["padding"] * 2 / 8, abs=1e-12)


def test_a_number_is_told_by_the_first_and_compared_by_all(told):
    assert told[2]["answers"] == [[True, False, 5]] * 2, "every worker gets the same answers"


TEXT = "".join(f"the cat sat on the mat, and the dog sat by the cat. {n}\n" for n in range(60))
SMALL = (
    "--hidden 8 --embedding 6 --vocab-size 300 --batch 3 --layers 2 --dropout 0.3 --clip 0.1 --dtype float64"
)


def train(processes: int, *arguments: object) -> list[str]:
    start = torchrun(processes) if processes > 1 else [sys.executable]
    return [*start, "-m", "minilm", "train", *map(str, arguments), "--json"]


def losses_of(lines) -> list[float]:
    return [json.loads(line)["train"]["loss"] for line in lines]


def run(processes: int, *arguments: object) -> list[float]:
    done = subprocess.run(train(processes, *arguments), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return losses_of(done.stdout.splitlines())


def workers(torchrun_id: int) -> dict[int, int]:
    """Process by rank."""
    found = {}
    for child in Path(f"/proc/{torchrun_id}/task/{torchrun_id}/children").read_text().split():
        told = dict(row.split("=", 1) for row in Path(f"/proc/{child}/environ").read_text().split("\0")[:-1])
        if "RANK" in told:
            found[int(told["RANK"])] = int(child)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The text, the options and the losses of 40 steps of one process, never interrupted."""
    place = tmp_path_factory.mktemp("whole")
    (place / "text.txt").write_text(TEXT)
    options = ["--text", place / "text.txt", "--backend", "torch", *SMALL.split()]
    return options, run(1, *options, "--out", place / "out", "--steps", 40)


@pytest.mark.parametrize(("killed", "processes"), [(1, 2), (0, 1)])  # who is killed, how many go on
def test_a_killed_worker_leaves_a_checkpoint_from_which_one_or_two_go_on(tmp_path, whole, killed, processes):
    """Of 40 steps, 12 are seen; the others stop within seconds, and the whole run's losses follow."""
    options, losses = whole
    out = tmp_path / "out"
    command = train(2, *options, "--out", out, "--steps", 40)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as job:
        assert job.stdout
        assert job.stderr
        seen = losses_of(job.stdout.readline() for _ in range(12))
        victim = workers(job.pid)[killed]
        os.kill(victim, signal.SIGKILL)
        _, errors = job.communicate(timeout=60)
    assert job.returncode != 0
    assert distance(seen, losses[:12]) < 1e-12
    assert "Traceback" not in errors.partition("torch/distributed/elastic")[0]
    kept = sorted(int(path.name[5:]) for path in (out / "checkpoints").glob("step-*"))
    assert kept[-1] >= (12 if killed else 1)
    assert not (out / "model").exists()
    rest = run(processes, "--out", out, "--resume")
    assert distance(rest, losses[kept[-1] :]) < 1e-12
    assert (out / "model" / "model.safetensors").exists()


def test_only_the_first_worker_writes_and_shows(tmp_path, whole):
    """Two workers with a folder of their own each, as on two hosts: one stays as it was."""
    options, losses = whole
    script = tmp_path / "host.py"
    script.write_text(
        "import os, sys\nfrom minilm.cli import main\n"
        "sys.argv += ['--out', 'out-of-' + os.environ['RANK']]\nmain()\n"
    )
    arguments = ["train", *map(str, options), "--steps", "40", "--json"]
    command = [*torchrun(2), str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["host.py", "out-of-0"]
    assert distance(losses_of(done.stdout.splitlines()), losses) < 1e-12
    assert done.stderr.count("open it:") == 1
