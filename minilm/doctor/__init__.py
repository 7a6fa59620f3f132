"""The doctor of training loops: it watches any loop, ours or a student's, and names what is wrong with it.

    with doctor.attach_torch(model, optimizer) as watching:
        train(model, optimizer)
    for finding in watching.findings(): ...

A framework is imported only when its loop is watched.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from minilm.doctor.checks.examine import CHECKS, examine
from minilm.doctor.own_loop import attach
from minilm.doctor.probes import probe
from minilm.doctor.records import Finding, Look, Observation, Probes, Record, load, save
from minilm.doctor.watching import Enough, Watching

__all__ = [
    "CHECKS",
    "Enough",
    "Finding",
    "Look",
    "Observation",
    "Probes",
    "Record",
    "Watching",
    "attach",
    "attach_tensorflow",
    "attach_torch",
    "examine",
    "load",
    "probe",
    "save",
]


def attach_torch(
    model: Any = None, optimizer: Any = None, **options: Any
) -> AbstractContextManager[Watching]:
    """Watch a PyTorch loop for as long as the `with` lasts; see minilm.doctor.torch.attach."""
    return import_module("minilm.doctor.torch.attach").attach(model, optimizer, **options)


def attach_tensorflow(
    model: Any = None, optimizer: Any = None, **options: Any
) -> AbstractContextManager[Watching]:
    """Watch a TensorFlow or Keras loop while the `with` lasts; see minilm.doctor.tensorflow.attach."""
    return import_module("minilm.doctor.tensorflow.attach").attach(model, optimizer, **options)
