"""The diagnosis names every default that is switched on, and each does what the framework really does."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minilm.backends.numpy.loss import sum_by_id
from minilm.cli.compare.group import command
from minilm.comparison.defaults import DEFAULTS, INJECTABLE, Experiment, net_defaults, training_defaults
from minilm.comparison.defaults.diagnosis import FAMILIES, diagnose, find_gap
from minilm.comparison.defaults.small_net import (
    CONFIG,
    compute_gradients,
    make_batch,
    make_small_weights,
    run_hidden,
)
from minilm.errors import MinilmError
from minilm.faces.comparison import diagnosis_lines


def named(*names):
    return [cause.default.name for cause in diagnose(Experiment(), Experiment(names)).causes]


def test_all_defaults_are_listed_and_each_belongs_to_one_family():
    assert [default.number for default in DEFAULTS.values()] == list(range(1, 35))
    assert sorted(set(DEFAULTS) - set(INJECTABLE)) == ["cudnn", "eager_cost", "seeds"]
    assert sorted(name for names, _ in FAMILIES for name in names) == sorted(INJECTABLE)


def test_two_equal_subjects_are_equal():
    found = diagnose(Experiment(), Experiment())
    assert found.equal
    assert found.causes == ()
    assert set(found.measured.values()) == {0.0}
    assert set(found.measured) == set(INJECTABLE)


@pytest.mark.parametrize("name", INJECTABLE)
def test_an_injected_default_is_named(name):
    found = diagnose(Experiment(), Experiment([name]))
    assert [cause.default.name for cause in found.causes] == [name]
    assert found.causes[0].left == 0
    assert found.explained
    assert not found.equal


def test_the_count_of_injected_defaults_that_are_named():
    hits = [name for name in INJECTABLE if named(name) == [name]]
    print(f"{len(hits)} of {len(INJECTABLE)} injectable defaults named when injected")
    assert len(hits) == 31


def test_several_at_once_are_all_named():
    dice = np.random.default_rng(0)
    for _ in range(12):
        names = dice.choice(INJECTABLE, 3, replace=False).tolist()
        assert sorted(named(*names)) == sorted(names)
    assert named(*INJECTABLE) == list(INJECTABLE)


def test_a_cause_that_no_default_explains_is_reported():
    class Stranger(Experiment):
        def observe(self, neutral=frozenset()):
            found = super().observe(neutral)
            return found | {"losses": found["losses"] + 1e-3}

    found = diagnose(Experiment(), Stranger(["two_biases"]))
    assert [cause.default.name for cause in found.causes] == ["two_biases"]
    assert not found.explained
    assert "the cause is none of the known defaults" in diagnosis_lines(found)
    alone = diagnose(Experiment(), Stranger())
    assert alone.causes == ()
    assert "no known default explains it" in diagnosis_lines(alone)


def test_nan_and_other_shapes_are_infinitely_different():
    assert find_gap({"a": np.array([np.nan])}, {"a": np.array([0.0])}).apart == float("inf")
    assert find_gap({"a": np.zeros(2)}, {"a": np.zeros(3)}).apart == float("inf")


def test_the_command_names_what_it_switched_on():
    done = CliRunner().invoke(command, ["--with", "embedding_sparse,adam_epsilon_hat"])
    assert done.exit_code == 1
    assert "explained by adam_epsilon_hat, embedding_sparse" in done.output
    assert max(map(len, done.output.splitlines())) <= 100
    line = json.loads(CliRunner().invoke(command, ["--with", "two_biases", "--json"]).output)
    assert [cause["row"] for cause in line["diagnosis"]["causes"]] == ["two_biases"]
    rows = CliRunner().invoke(command, ["--rows"])
    assert rows.exit_code == 0
    assert all(f" {name} " in rows.output for name in DEFAULTS)


@pytest.mark.parametrize(
    ("names", "message"), [("no_such", "There is no default"), ("seeds", "cannot be switched on")]
)
def test_a_default_that_is_unknown_or_cannot_be_switched_on_is_refused(names, message):
    with pytest.raises(MinilmError, match=message):
        Experiment([names])


# Each default is compared with the framework that has it.


def adam_steps(on, shape=(4,), steps=5, seed=0):
    dice = np.random.default_rng(seed)
    weight, moments = np.ones(shape), (np.zeros(shape), np.zeros(shape))
    given = dice.normal(0, 1e-6, (steps, *shape))
    for step, gradient in enumerate(given, 1):
        weight = weight - training_defaults.adam_update(moments, gradient, None, step, frozenset(on))
    return weight, given


def test_the_neutral_adam_is_torchs():
    torch = pytest.importorskip("torch")
    weight, given = adam_steps(())
    theirs = torch.ones(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([theirs], lr=training_defaults.RATE)
    for gradient in given:
        theirs.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    assert np.abs(weight - theirs.detach().numpy()).max() < 1e-15


def test_keras_adam_has_the_three_defaults_and_no_other():
    keras = pytest.importorskip("keras")
    weight, given = adam_steps(("adam_epsilon", "adam_epsilon_hat", "adam_constants"))
    theirs = keras.Variable(np.ones(4), dtype="float64")
    optimizer = keras.optimizers.Adam(training_defaults.RATE)
    for gradient in given:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [theirs])
    assert np.abs(weight - theirs.numpy()).max() < 1e-12
    for missing in ("adam_epsilon", "adam_epsilon_hat", "adam_constants"):
        rows = {"adam_epsilon", "adam_epsilon_hat", "adam_constants"} - {missing}
        assert np.abs(adam_steps(rows)[0] - theirs.numpy()).max() > 1e-10, missing


def test_keras_squares_the_slices_of_an_embedding_one_by_one():
    tensorflow, keras = pytest.importorskip("tensorflow"), pytest.importorskip("keras")
    slices = compute_gradients(make_small_weights(), make_batch())
    on = frozenset({"adam_epsilon", "adam_epsilon_hat", "adam_constants"})
    summed = sum_by_id(slices.ids, slices.rows, CONFIG.vocab_size)
    squares = sum_by_id(slices.ids, np.square(slices.rows), CONFIG.vocab_size)
    moments = np.zeros_like(summed), np.zeros_like(summed)
    moved = make_small_weights()["embedding"] - training_defaults.adam_update(moments, summed, squares, 1, on)
    table = keras.Variable(make_small_weights()["embedding"], dtype="float64")
    sparse = tensorflow.IndexedSlices(
        slices.rows.reshape(-1, 5), slices.ids.ravel(), tensorflow.constant([11, 5])
    )
    keras.optimizers.Adam(training_defaults.RATE).apply([sparse], [table])
    assert np.abs(moved - table.numpy()).max() < 1e-12


def test_tensorflow_takes_the_norm_of_unsummed_slices():
    tensorflow = pytest.importorskip("tensorflow")
    slices = compute_gradients(make_small_weights(), make_batch())
    sparse = tensorflow.IndexedSlices(slices.rows.reshape(-1, 5), slices.ids.ravel())
    theirs = tensorflow.linalg.global_norm([sparse, *slices.dense.values()])
    summed, _ = training_defaults.clip_gradients(slices, frozenset({"clip_sparse", "clip_divisor"}))
    factor = summed["head.bias"] / slices.dense["head.bias"]
    assert np.allclose(factor, min(1, training_defaults.CLIP / float(theirs)), rtol=1e-12)


def test_torch_clips_with_a_divisor_of_its_own_and_tensorflow_without():
    torch = pytest.importorskip("torch")
    slices = compute_gradients(make_small_weights(), make_batch())
    summed, _ = training_defaults.clip_gradients(slices, frozenset())
    whole = {"embedding": sum_by_id(slices.ids, slices.rows, 11), **slices.dense}
    tensors = [torch.zeros(array.shape, dtype=torch.float64, requires_grad=True) for array in whole.values()]
    for tensor, array in zip(tensors, whole.values(), strict=True):
        tensor.grad = torch.from_numpy(array.copy())
    torch.nn.utils.clip_grad_norm_(tensors, training_defaults.CLIP)
    for tensor, array in zip(tensors, summed.values(), strict=True):
        assert np.abs(tensor.grad.numpy() - array).max() < 1e-15


def test_weight_decay_is_torchs_adam_when_on_and_adamw_when_neutral():
    torch = pytest.importorskip("torch")
    kernel = make_small_weights()["head.kernel"]
    gradient = compute_gradients(make_small_weights(), make_batch()).dense["head.kernel"]
    for on, kind in ((frozenset({"weight_decay"}), torch.optim.Adam), (frozenset(), torch.optim.AdamW)):
        theirs = torch.from_numpy(kernel.copy()).requires_grad_()
        theirs.grad = torch.from_numpy(gradient.copy())
        kind([theirs], lr=training_defaults.RATE, weight_decay=training_defaults.DECAY).step()
        ours = training_defaults.observe_optimizer(on)["weights after decay"]
        assert np.abs(ours - theirs.detach().numpy()).max() < 1e-12


def test_a_keras_lstm_under_a_mask_repeats_its_output():
    keras = pytest.importorskip("keras")
    arrays, given = make_small_weights(), make_batch(padded=True)
    layer = keras.layers.LSTM(6, return_sequences=True, dtype="float64")
    layer.build((None, None, 5))
    layer.set_weights([arrays[f"lstm.0.{part}"] for part in ("kernel", "recurrent", "bias")])
    values = arrays["embedding"][given.inputs]
    theirs = layer(values, mask=given.mask.astype(bool)).numpy()
    ours = net_defaults.observe_padding(frozenset({"padded_steps"}))["padded outputs"]
    assert np.abs(ours - theirs).max() < 1e-12
    assert np.abs(run_hidden(arrays, values) - layer(values).numpy()).max() < 1e-12


def test_keras_takes_logits_for_probabilities_by_default():
    keras = pytest.importorskip("keras")
    assert keras.losses.SparseCategoricalCrossentropy().get_config()["from_logits"] is False
    assert keras.optimizers.SGD().get_config()["learning_rate"] == pytest.approx(1e-2)
    assert keras.optimizers.Adam().get_config()["epsilon"] == 1e-7


def test_the_initial_draws_are_those_of_keras_by_their_bounds():
    keras = pytest.importorskip("keras")
    dice, shape = np.random.default_rng(0), (40, 160)
    for ours, theirs in (
        (net_defaults.draw_glorot(dice, shape), keras.initializers.GlorotUniform(0)(shape).numpy()),
        (net_defaults.draw_orthogonal(dice, shape), keras.initializers.Orthogonal(1.0, 0)(shape).numpy()),
    ):
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.15)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.03)
    one, other = (net_defaults.draw_orthogonal(dice, shape) for _ in range(2))
    assert np.abs(one @ other.T).max() < 1.01
    rows = net_defaults.draw_orthogonal(dice, shape)
    assert np.abs(rows @ rows.T - np.eye(40)).max() < 1e-12


def test_slices_are_clipped_before_they_are_squared_one_by_one():
    slices = compute_gradients(make_small_weights(), make_batch())
    summed, squares = training_defaults.clip_gradients(slices, frozenset({"embedding_sparse"}))
    factor = summed["head.bias"][0] / slices.dense["head.bias"][0]
    assert factor < 1
    by_hand = np.zeros((11, 5))
    for token, row in zip(slices.ids.ravel(), slices.rows.reshape(-1, 5), strict=True):
        by_hand[token] += (factor * row) ** 2
    assert np.abs(squares["embedding"] - by_hand).max() < 1e-15
