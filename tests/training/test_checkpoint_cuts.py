"""A run of 30 steps is cut at each of its 29 places and goes on: every bit is that of the run in one."""

import numpy as np
import pytest

from minilm import backends
from minilm.bench.workloads import FakeCodec
from minilm.generation import stream
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.checkpoint import newest, save_checkpoint
from minilm.training.fit import Schedule, fit

CONFIG = ModelConfig(20, 5, 6, dropout=0.3, seed=1)
BATCHES = Batches([np.random.default_rng(n).integers(4, 20, 40) for n in range(5)], 3, 8)
SCHEDULE = Schedule(1e-2, 30, warm_up=3)


def sampled(model):
    steps = stream(model, FakeCodec(20), " w5 w9", "Temperature(0.8)", seed=3, max_tokens=50, eos_ids=())
    return [step.decision.chosen.id for step in steps]


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.available())
def test_at_29_of_29_cut_points_a_resumed_run_is_bitwise_the_run_in_one(tmp_path, backend):
    """Weights, moments, order of the data and dropout (by the losses), and the next 50 sampled ids."""
    whole, losses = backends.create(backend, CONFIG), []
    for step in fit(whole, BATCHES, SCHEDULE):
        losses.append(step.loss)
        if step.index < 30:
            save_checkpoint(tmp_path / str(step.index), whole, step.index, step.tokens, {})
    ids, last, equal = sampled(whole), whole.snapshot(), 0
    assert len(ids) == 50
    again = backends.create(backend, CONFIG)
    for cut in range(1, 30):
        found = newest(tmp_path / str(cut))
        again.restore(found.arrays)
        rest = [step.loss for step in fit(again, BATCHES, SCHEDULE, start=found.step, tokens=found.tokens)]
        assert rest == losses[cut:], cut
        now = again.snapshot()
        assert now.keys() == last.keys()
        assert all(np.array_equal(now[name], array) for name, array in last.items()), cut
        assert sampled(again) == ids, cut
        equal += 1
    print(f"{backend}: bitwise equal at {equal} of 29 cut points")
    assert equal == 29
