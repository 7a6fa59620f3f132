"""The doctor of training loops: it watches any loop, minilm's or a student's, and names what is wrong.

    with doctor.attach_torch(model, optimizer) as watching:
        train(model, optimizer)
    for finding in watching.findings():
        print(finding)

A framework is imported only when its loop is watched.

torch/, tensorflow/   watch a loop of PyTorch or TensorFlow (own_loop.py: of minilm); a step becomes a record
records.py, run.py    the records, and a whole run of them as the checks read it
checks/               from a run to findings: their order, and which finding hides which
probes.py             questions to the model, such as: do later ids change earlier logits?
run_file.py           watch a user's file, in a process of its own
museum.py             recorded broken trainings
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from minilm.doctor.checks import CHECKS, examine, find_blind_checks, find_notices, has_core
from minilm.doctor.own_loop import attach
from minilm.doctor.probes import probe
from minilm.doctor.records import (
    Ending,
    Finding,
    Observation,
    Probes,
    Record,
    StepDetails,
    load_run,
    save_run,
)
from minilm.doctor.run import WatchedRun
from minilm.doctor.watching import Enough, Watching

__all__ = [
    "CHECKS",
    "Ending",
    "Enough",
    "Finding",
    "Observation",
    "Probes",
    "Record",
    "StepDetails",
    "WatchedRun",
    "Watching",
    "attach",
    "attach_tensorflow",
    "attach_torch",
    "examine",
    "find_blind_checks",
    "find_notices",
    "has_core",
    "load_run",
    "probe",
    "save_run",
]


def attach_torch(
    model: Any = None, optimizer: Any = None, **options: Any
) -> AbstractContextManager[Watching]:
    """Watch a PyTorch loop while the `with` block runs; see minilm.doctor.torch.attach."""
    return import_module("minilm.doctor.torch.attach").attach(model, optimizer, **options)


def attach_tensorflow(
    model: Any = None, optimizer: Any = None, **options: Any
) -> AbstractContextManager[Watching]:
    """Watch a TensorFlow or Keras loop while the `with` block runs; see minilm.doctor.tensorflow.attach."""
    return import_module("minilm.doctor.tensorflow.attach").attach(model, optimizer, **options)
