"""Our backends among themselves: NumPy from scratch against torch, and what watching costs in each.

Watching is measured on a model of about 200,000 parameters and batches of 16 x 32. A framework is named here,
never imported.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import perf_counter

from minilm.backends import create
from minilm.bench.measure import Figure, in_turns, seconds
from minilm.bench.workloads import VOCAB_SIZE, stream_fresh, train_fresh
from minilm.dice import generator
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit
from minilm.training.timeline.gates import gate_moment
from minilm.training.timeline.timeline import Timeline

__all__ = ["measure_numpy_streaming", "measure_numpy_training", "measure_watching"]

_CONFIG = ModelConfig(VOCAB_SIZE)  # E=64, H=128: 197,120 parameters
_STEPS = 2000  # the length of the run for which the snapshots of a timeline are spaced


def measure_numpy_streaming(quick: bool) -> Iterator[Figure]:
    """Measure tokens per second with the full record, NumPy over torch."""
    tokens, runs = (25, 5) if quick else (25, 41)
    for vocab_size, bar in ((512, 1.5), (4000, None)):
        ours, other = (stream_fresh(backend, vocab_size, tokens) for backend in ("numpy", "torch"))
        yield in_turns(f"NumPy stream / torch stream, V={vocab_size}", ours, other, runs, bar)


def measure_numpy_training(quick: bool) -> Iterator[Figure]:
    """Measure training steps per second, NumPy over torch."""
    steps, runs = (2, 3) if quick else (5, 15)
    ours, other = (train_fresh(backend, steps) for backend in ("numpy", "torch"))
    yield in_turns("NumPy training / torch training", ours, other, runs, 0.25)


def _made_up_batches() -> Batches:
    return Batches([generator(0, "bench").integers(4, VOCAB_SIZE, 100_000)], size=16, length=32)


def measure_watching(backend: str, quick: bool) -> Iterator[Figure]:
    """Measure what watching costs: every step watched, the gates of a reading, snapshots, and replay."""
    steps, runs = (4, 3) if quick else (20, 15)
    model, made = create(backend, _CONFIG), _made_up_batches()

    def train(watch: bool) -> float:
        return sum(step.loss for step in fit(model, made, Schedule(1e-3, steps), watch=watch))

    watched, plain = partial(train, True), partial(train, False)
    yield in_turns(f"{backend} step watched / plain", watched, plain, runs, 1.1, at_least=False)
    ids = made.batch(0).inputs[0]
    shown, read = partial(gate_moment, model, ids), partial(model.read, ids)
    yield in_turns(f"{backend} gates / forward pass", shown, read, 5 * runs, 3.0, at_least=False)
    yield from _measure_timeline(backend, quick)


def _measure_timeline(backend: str, quick: bool) -> Iterator[Figure]:
    """Measure a run with snapshots on disk over one without, and the longest replay between two of them."""
    made, runs = _made_up_batches(), 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        kept = Timeline(create(backend, _CONFIG), made, Schedule(1e-3, _STEPS), folder=folder)
        every = kept.replay.snapshots.every
        plain = create(backend, _CONFIG)

        def keep() -> None:
            start = Timeline(plain, made, Schedule(1e-3, _STEPS), folder=tempfile.mkdtemp(dir=folder))
            start.jump(3 * every)

        def only_train() -> None:
            for step in fit(plain, made, Schedule(1e-3, _STEPS), watch=True):
                if step.index == 3 * every:
                    return

        name = f"{backend} run with snapshots / watched run"
        yield in_turns(name, keep, only_train, runs, 1.15, at_least=False)
        there = kept.jump(4 * every)
        yield seconds(f"{backend} farthest step reached again", partial(_time_jump, there, every), runs, 0.5)
        size = max(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))
        whole = size * (_STEPS // every + 1) / 1e6
        yield Figure(f"{backend} snapshots of {_STEPS} steps", whole, whole, whole, 1, 300, False, "MB")


def _time_jump(there: Timeline, every: int) -> float:
    """Return the seconds from elsewhere to the place just before a snapshot."""
    there.replay.forget()
    began = perf_counter()
    there.jump(2 * every - 1)
    return perf_counter() - began
