"""Every backend trains alike; plain PyTorch and numeric differences are the oracles."""

import numpy as np
import pytest

from minilm.backends import create
from minilm.records import Gradients, ModelConfig, OptimizerConfig


def assert_equal_arrays(found, expected, atol):
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=atol, err_msg=name)


def test_losses_count_only_what_the_mask_keeps(model, oracle, batch):
    losses, mask = model.losses(*batch), batch[2]
    assert losses.shape == mask.shape
    assert np.all(losses[mask == 0] == 0)
    expected = oracle(model.config, model.weights()).loss(*batch).item()
    assert losses.sum() / mask.sum() == pytest.approx(expected, abs=1e-13)


def test_padding_has_no_influence(model, batch):
    inputs, targets, mask = batch
    other_inputs, other_targets = np.where(mask == 1, inputs, 7), np.where(mask == 1, targets, 2)
    one, other = model.gradients(*batch), model.gradients(other_inputs, other_targets, mask)
    assert one.loss == pytest.approx(other.loss, abs=1e-15)
    assert_equal_arrays(other.arrays, one.arrays, 1e-15)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_gradients_are_those_of_autograd_for_one_to_three_layers(backend, oracle, batch, layers):
    config = ModelConfig(13, 4, 5, layers=layers, seed=layers)
    model = create(backend, config, "float64")
    gradients = model.gradients(*batch)
    loss, expected = oracle(config, model.weights()).gradients(*batch)
    assert gradients.loss == pytest.approx(loss, abs=1e-13)
    assert_equal_arrays(gradients.arrays, expected, 1e-13)


def test_dropout_masks_and_the_denominator_are_applied_as_given(model, oracle, batch, dropout):
    gradients = model.gradients(*batch, dropout=dropout, denominator=40.0)
    plain = oracle(model.config, model.weights())
    loss, expected = plain.gradients(*batch, dropout=dropout, denominator=40.0)
    assert gradients.loss == pytest.approx(loss, abs=1e-13)
    assert_equal_arrays(gradients.arrays, expected, 1e-13)


def test_gradients_equal_numeric_differences(backend, batch, dropout):
    """Independent of every autograd: the loss itself, a little to either side."""
    config = ModelConfig(13, 5, 6, layers=2, seed=9)
    start = {name: np.array(array) for name, array in create("numpy", config, "float64").weights().items()}
    gradients = create(backend, config, "float64", weights=start).gradients(*batch, dropout=dropout).arrays
    rng, step = np.random.default_rng(0), 1e-6
    for name, array in start.items():
        direction = rng.standard_normal(array.shape)
        losses = [
            create("numpy", config, "float64", weights=start | {name: array + sign * step * direction})
            .gradients(*batch, dropout=dropout)
            .loss
            for sign in (1, -1)
        ]
        slope = (losses[0] - losses[1]) / (2 * step)
        assert np.sum(gradients[name] * direction) == pytest.approx(slope, abs=1e-8), name


@pytest.mark.parametrize("clip", [None, 0.05])
def test_updates_are_those_of_torch_adam_after_torch_clipping(backend, oracle, batch, clip):
    torch = pytest.importorskip("torch")
    config = ModelConfig(13, 5, 6, optimizer=OptimizerConfig(0.8, 0.95, 1e-3))
    model = create(backend, config, "float64")
    plain = oracle(config, model.weights())
    parameters = list(plain.tensors.values())
    adam = torch.optim.Adam(parameters, betas=(0.8, 0.95), eps=1e-3)
    for rate in (1e-2, 1e-2, 3e-3, 3e-3, 1e-1):
        factor = model.update(model.gradients(*batch), rate, clip)
        adam.zero_grad()
        plain.loss(*batch).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip or float("inf")).item()
        adam.param_groups[0]["lr"] = rate
        adam.step()
        assert factor == pytest.approx(min(1, (clip or np.inf) / (norm + 1e-6)), rel=1e-12)
    expected = {name: tensor.detach().numpy() for name, tensor in plain.tensors.items()}
    assert_equal_arrays(model.weights(), expected, 1e-13)


def test_a_limit_above_the_norm_changes_nothing(model, batch):
    gradients, start = model.gradients(*batch), model.snapshot()
    assert model.update(gradients, 0.1, None) == 1
    expected = model.snapshot()
    model.restore(start)
    assert model.update(gradients, 0.1, 1e6) == 1
    assert_equal_arrays(model.snapshot(), expected, 0)


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_a_record_of_gradients_is_not_changed_by_what_follows(model, batch, clip):
    gradients = model.gradients(*batch)
    before = {name: array.copy() for name, array in gradients.arrays.items()}
    model.update(gradients, 0.1, clip=clip)
    model.gradients(*batch)
    assert_equal_arrays(gradients.arrays, before, 0)


def test_gradients_of_any_origin_can_be_applied(model, batch):
    """A mean over several batches, or another backend's gradients, come as NumPy arrays alone."""
    gradients, start = model.gradients(*batch), model.snapshot()
    model.update(gradients, 0.01, 0.1)
    expected = model.snapshot()
    model.restore(start)
    copies = {name: array.copy() for name, array in gradients.arrays.items()}
    model.update(Gradients(gradients.loss, gradients.losses, copies), 0.01, 0.1)
    assert_equal_arrays(model.snapshot(), expected, 1e-16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_snapshot_takes_training_back_bit_for_bit(backend, batch, dtype):
    model = create(backend, ModelConfig(13, 5, 6, layers=2), dtype)
    model.update(model.gradients(*batch), 0.01)
    start = model.snapshot()
    kept = {name: array.copy() for name, array in start.items()}

    def trained():
        return [model.update(model.gradients(*batch), 0.01, 1.0) for _ in range(3)], model.snapshot()

    first = trained()
    model.restore(start)
    again = trained()
    assert first[0] == again[0]
    assert_equal_arrays(again[1], first[1], 0)
    assert_equal_arrays(start, kept, 0)
    assert int(start["adam.step"]) == 1
    other = create(backend, model.config, dtype, weights=start)
    other.restore(start)
    for _ in range(3):
        other.update(other.gradients(*batch), 0.01, 1.0)
    assert_equal_arrays(other.snapshot(), first[1], 0)


def test_a_snapshot_opens_in_every_backend(backend, model, batch, oracle):
    model.update(model.gradients(*batch), 0.01)
    reference = create("numpy", model.config, "float64")
    reference.restore(model.snapshot())
    for one in (model, reference):
        one.update(one.gradients(*batch), 0.01, 1.0)
    assert_equal_arrays(reference.snapshot(), model.snapshot(), 1e-14)


def test_restoring_weights_alone_starts_the_moments_at_zero(model, batch):
    fresh = {name: np.array(array) for name, array in model.weights().items()}
    untouched = model.snapshot()
    model.update(model.gradients(*batch), 0.01)
    model.restore(fresh)
    assert_equal_arrays(model.snapshot(), untouched, 0)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_two_hundred_steps_keep_the_losses_of_the_reference(backend, dtype, tolerance):
    config = ModelConfig(30, 8, 12, seed=1)
    reference, model = create("numpy", config, dtype), create(backend, config, dtype)
    rng = np.random.default_rng(4)
    for _ in range(200):
        ids = rng.integers(0, 30, (4, 9)) // rng.integers(1, 4)
        batch = ids[:, :-1], ids[:, 1:], np.ones((4, 8))
        ours, theirs = reference.gradients(*batch), model.gradients(*batch)
        assert abs(ours.loss - theirs.loss) <= tolerance
        reference.update(ours, 1e-2, 1.0)
        model.update(theirs, 1e-2, 1.0)
