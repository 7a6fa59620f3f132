"""The loop: against a loop written out by hand, and its records against what the model says."""

import math

import numpy as np
import pytest

from minilm import backends
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.training.batches import Batches, in_order
from minilm.training.fit import Schedule, evaluate, fit, planned_steps
from minilm.training.step import dropout_masks, norm

CONFIG = ModelConfig(20, 5, 6, layers=2, dropout=0.3, seed=1)
DOCUMENTS = [np.random.default_rng(n).integers(4, 20, 30 + n) for n in range(5)]
BATCHES = Batches(DOCUMENTS, 3, 8, seed=2)
SCHEDULE = Schedule(1e-2, 12, warm_up=3)


def test_the_loop_is_gradients_then_an_update_and_nothing_else():
    model, by_hand = (backends.create("numpy", CONFIG, "float64") for _ in range(2))
    for step, record in enumerate(fit(model, BATCHES, SCHEDULE, clip=0.5)):
        batch = BATCHES.batch(step)
        masks = dropout_masks(CONFIG, 2, step, batch.inputs.shape)
        gradients = by_hand.gradients(batch.inputs, batch.targets, batch.mask, masks)
        factor = by_hand.update(gradients, SCHEDULE.at(step), 0.5)
        assert (record.loss, record.clip_factor) == (gradients.loss, factor)
        assert (record.index, record.rate) == (step + 1, SCHEDULE.at(step))
    assert all(np.array_equal(model.weights()[name], array) for name, array in by_hand.weights().items())


@pytest.mark.parametrize("rate", [0, -1e-3, math.nan, math.inf])
def test_a_rate_that_cannot_train_is_refused(rate):
    with pytest.raises(MinilmError, match="learning rate must be a number above 0"):
        Schedule(rate, 10)


def test_the_rate_rises_in_a_line_and_falls_in_half_a_cosine():
    """Worked by hand: a third of the rate more in each of 3 steps, then 9 steps from 2 down to a tenth."""
    schedule = Schedule(2.0, 12, warm_up=3, final=0.1)
    assert [schedule.at(step) for step in range(3)] == pytest.approx([2 / 3, 4 / 3, 2])
    half = math.sqrt(0.5)
    falling = [schedule.at(step) for step in (3, 5, 7, 9, 11)]
    assert falling == pytest.approx([2, 1.1 + 0.9 * half, 1.1, 1.1 - 0.9 * half, 0.2])


def test_a_watched_step_carries_the_norms_of_what_really_happened():
    model = backends.create("numpy", CONFIG, "float64")
    before = {name: array.copy() for name, array in model.weights().items()}
    step = next(iter(fit(model, BATCHES, SCHEDULE, watch=True)))
    assert step.losses.sum() / (step.losses > 0).sum() == pytest.approx(step.loss)
    for name, after in model.weights().items():
        norms = step.norms[name]
        assert norms.update == pytest.approx(np.linalg.norm(after - before[name]))
        assert norms.weight == pytest.approx(np.linalg.norm(after))


def test_a_norm_too_large_for_float64_is_infinite_without_a_warning():
    assert norm(np.array([3e200, 4e200])) == math.inf


def test_watching_changes_nothing_and_an_unwatched_step_carries_no_norms():
    plain = list(fit(backends.create("numpy", CONFIG), BATCHES, SCHEDULE))
    watched = list(fit(backends.create("numpy", CONFIG), BATCHES, SCHEDULE, watch=True))
    assert [step.loss for step in plain] == [step.loss for step in watched]
    assert all(step.norms is None and step.losses is None for step in plain)


def test_validation_is_the_mean_over_every_held_out_token():
    model = backends.create("numpy", CONFIG, "float64")
    small, large = (list(in_order(DOCUMENTS, size, 64)) for size in (1, 5))
    by_hand = [
        model.losses(d[None, :-1], d[None, 1:], np.ones((1, len(d) - 1))).sum()
        for d in map(np.array, DOCUMENTS)
    ]
    expected = sum(by_hand) / sum(len(d) - 1 for d in DOCUMENTS)
    assert evaluate(model, small) == pytest.approx(expected)
    assert evaluate(model, large) == pytest.approx(expected)
    measured = [s.index for s in fit(model, BATCHES, SCHEDULE, validation=small, every=5) if s.validation]
    assert measured == [5, 10, 12]


def test_a_run_cut_in_two_equals_the_run_in_one():
    whole, halves = (backends.create("numpy", CONFIG) for _ in range(2))
    losses = [step.loss for step in fit(whole, BATCHES, SCHEDULE)]
    first = list(zip(range(7), fit(halves, BATCHES, SCHEDULE), strict=False))
    second = list(fit(halves, BATCHES, SCHEDULE, start=7, tokens=first[-1][1].tokens))
    assert [step.loss for _, step in first] + [step.loss for step in second] == losses


def test_dropout_masks_keep_their_share_and_are_scaled_by_it():
    (mask,) = dropout_masks(ModelConfig(9, 4, 50, dropout=0.25), 0, 0, (20, 30))
    assert set(np.unique(mask)) == {0, np.float32(1 / np.float32(0.75))}
    assert mask.mean() == pytest.approx(1, abs=0.02)
    assert dropout_masks(ModelConfig(9, 4, 50), 0, 0, (2, 3)) is None


def test_every_layer_and_step_draws_a_dropout_mask_of_its_own():
    """Two independent masks with half of their numbers 0 agree in half of all places."""
    config = ModelConfig(9, 4, 50, layers=2, dropout=0.5)
    first, second = (dropout_masks(config, 0, step, (20, 30)) for step in (0, 1))
    for one, other in [(first[0], first[1]), (first[0], second[0]), (first[0], second[1])]:
        assert np.mean(one == other) == pytest.approx(0.5, abs=0.02)
    again = dropout_masks(config, 0, 0, (20, 30))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where():
    model = backends.create("numpy", CONFIG)

    class Broken:
        config = CONFIG

        def gradients(self, inputs, *rest):
            found = model.gradients(inputs, *rest)
            losses = found.losses.copy()
            losses[1, 4] = math.nan
            return type(found)(math.nan, losses, found.arrays)

    with pytest.raises(MinilmError, match="step 1, first at row 1, position 4"):
        next(iter(fit(Broken(), BATCHES, SCHEDULE)))


def test_measuring_the_speed_leaves_the_model_as_it_was():
    model = backends.create("numpy", CONFIG)
    before = {name: array.copy() for name, array in model.snapshot().items()}
    assert planned_steps(model, BATCHES, 0.01, trials=3) >= 1
    assert all(np.array_equal(model.snapshot()[name], array) for name, array in before.items())
