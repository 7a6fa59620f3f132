"""A watched step says the same in every backend, and costs no copies and no new tracing."""

import numpy as np
import pytest

from minilm.backends import create
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit

CONFIG = ModelConfig(20, 5, 6, layers=2, dropout=0.3, seed=1)
BATCHES = Batches([np.random.default_rng(n).integers(4, 20, 30 + n) for n in range(5)], 3, 8, seed=2)
SCHEDULE = Schedule(1e-2, 12, warm_up=3)


def test_norms_are_those_of_numpy_over_what_really_changed(backend):
    """The update's norm is taken of the weights before and after, as rounded: not of what Adam meant."""
    model = create(backend, CONFIG)
    before = {name: np.array(array, np.float64) for name, array in model.weights().items()}
    for record in fit(model, BATCHES, SCHEDULE, clip=0.1, watch=True):
        after = {name: np.array(array, np.float64) for name, array in model.weights().items()}
        for name, norms in record.norms.items():
            found, change = (norms.update, norms.weight), after[name] - before[name]
            assert found == pytest.approx((np.linalg.norm(change), np.linalg.norm(after[name])), rel=1e-6)
        assert record.clip_factor == pytest.approx(min(1, 0.1 / (record.gradient_norm + 1e-6)), rel=1e-6)
        before = after


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_watched_model_trains_bit_for_bit_as_an_unwatched_one(backend, dtype):
    plain, watched = create(backend, CONFIG, dtype), create(backend, CONFIG, dtype)
    losses = [step.loss for step in fit(plain, BATCHES, SCHEDULE)]
    assert [step.loss for step in fit(watched, BATCHES, SCHEDULE, watch=True)] == losses
    expected = plain.snapshot()
    assert all(np.array_equal(array, expected[name]) for name, array in watched.snapshot().items())


def test_looking_at_weights_and_gradients_copies_nothing(model, batch):
    """Two looks share their memory; copies would cost a watched step more than its norms do."""
    for arrays in (model.weights(), model.gradients(*batch).arrays):
        assert all(np.shares_memory(arrays[name], arrays[name]) for name in arrays)
        assert not any(arrays[name].flags.writeable for name in arrays)
    assert np.shares_memory(model.embedding_table(), model.weights()["embedding"])
    assert np.shares_memory(model.head()[0], model.weights()["head.kernel"])


def test_a_snapshot_shares_no_memory_with_the_model(model):
    assert not any(np.shares_memory(model.snapshot()[name], array) for name, array in model.weights().items())


def test_watched_and_plain_steps_are_traced_once_by_tensorflow():
    backend = pytest.importorskip("minilm.backends.tensorflow.lstm", exc_type=ImportError)
    model = backend.create(CONFIG)
    for watch in (True, False, True):
        assert len(list(fit(model, BATCHES, SCHEDULE, watch=watch))) == 12
    traced = model._traced.gradients, model._traced.global_norm, model._adam._apply
    assert [function.experimental_get_tracing_count() for function in traced] == [1, 1, 1]
