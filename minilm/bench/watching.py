"""What looking costs: every step watched, snapshots underway, any step reached again, gates of a reading.

A model of 200,000 parameters on batches of 16 x 32. The frameworks are named here, never imported.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from minilm.backends import create
from minilm.bench.measure import Figure, in_turns, seconds
from minilm.bench.training import VOCAB_SIZE
from minilm.dice import generator
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit
from minilm.training.timeline.gates import gate_moment
from minilm.training.timeline.timeline import Timeline

__all__ = ["numpy_figures", "tensorflow_figures", "torch_figures"]

CONFIG = ModelConfig(VOCAB_SIZE)  # E=64, H=128: 197,120 parameters
STEPS = 2000  # that a timeline's snapshots are spaced for


def _batches() -> Batches:
    return Batches([generator(0, "bench").integers(4, VOCAB_SIZE, 100_000)], size=16, length=32)


def _figures(backend: str, quick: bool) -> Iterator[Figure]:
    steps, runs = (4, 3) if quick else (20, 15)
    model, made = create(backend, CONFIG), _batches()

    def train(watch: bool) -> float:
        return sum(step.loss for step in fit(model, made, Schedule(1e-3, steps), watch=watch))

    watched, plain = partial(train, True), partial(train, False)
    yield in_turns(f"{backend} step watched / plain", watched, plain, runs, 1.1, at_least=False)
    ids = made.batch(0).inputs[0]
    shown, read = partial(gate_moment, model, ids), partial(model.read, ids)
    yield in_turns(f"{backend} gates / forward pass", shown, read, 5 * runs, 3.0, at_least=False)
    yield from _timeline(backend, quick)


def _timeline(backend: str, quick: bool) -> Iterator[Figure]:
    """Snapshots on disk against the same steps without; and the farthest replay between two of them."""
    made, runs = _batches(), 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        kept = Timeline(create(backend, CONFIG), made, Schedule(1e-3, STEPS), folder=folder)
        every = kept.replay.snapshots.every
        plain = create(backend, CONFIG)

        def keep() -> None:
            start = Timeline(plain, made, Schedule(1e-3, STEPS), folder=tempfile.mkdtemp(dir=folder))
            start.jump(3 * every)

        def only_train() -> None:
            for step in fit(plain, made, Schedule(1e-3, STEPS), watch=True):
                if step.index == 3 * every:
                    return

        name = f"{backend} run with snapshots / watched run"
        yield in_turns(name, keep, only_train, runs, 1.15, at_least=False)
        there = kept.jump(4 * every)
        yield seconds(f"{backend} farthest step reached again", partial(_reach, there, every), runs, 0.5)
        size = max(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))
        whole = size * (STEPS // every + 1) / 1e6
        yield Figure(f"{backend} snapshots of {STEPS} steps", whole, whole, whole, 1, 300, False, "MB")


def _reach(there: Timeline, every: int) -> float:
    """Seconds from elsewhere to the place just before a snapshot."""
    there.replay.forget()
    began = perf_counter()
    there.jump(2 * every - 1)
    return perf_counter() - began


def torch_figures(quick: bool) -> Iterator[Figure]:
    """The figures of torch."""
    return _figures("torch", quick)


def tensorflow_figures(quick: bool) -> Iterator[Figure]:
    """The figures of TensorFlow."""
    return _figures("tensorflow", quick)


def numpy_figures(quick: bool) -> Iterator[Figure]:
    """The figures of NumPy."""
    return _figures("numpy", quick)
