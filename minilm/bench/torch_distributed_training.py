"""Two torchrun processes of one thread each against one process of one thread, on the same batches.

Both run inside one job of two workers, in turns: while the first trains alone, the other waits for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from minilm.backends import create
from minilm.backends.processes import this_worker
from minilm.backends.torch import distributed as torch_distributed
from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.training import VOCAB_SIZE, train_model
from minilm.errors import MinilmError
from minilm.records import ModelConfig

__all__ = ["training"]

LIMIT = 900  # seconds for the job of both sides


def training(quick: bool) -> Iterator[Figure]:
    """Training steps per second of two processes over those of one."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*start, "-m", __name__, *(["quick"] if quick else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise MinilmError(f"torchrun ended with {done.returncode}: {done.stderr.strip()[-300:]!r}")
    yield Figure(**json.loads(done.stdout.splitlines()[-1]))


def _in_a_worker(quick: bool) -> None:
    steps, runs = (2, 3) if quick else (5, 21)
    torch.set_num_threads(1)
    model: Any = torch_distributed.create(ModelConfig(VOCAB_SIZE))
    alone: Work = int
    if this_worker().leads:
        alone = train_model(create("torch", ModelConfig(VOCAB_SIZE)), steps)
    figure = in_turns("torch training, 2 processes / 1", train_model(model, steps), alone, runs, 1.2)
    torch_distributed.finish()
    if this_worker().leads:
        print(json.dumps(asdict(figure)))


if __name__ == "__main__":
    _in_a_worker("quick" in sys.argv)
