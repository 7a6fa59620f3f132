"""Every seeded mistake in TensorFlow is found by its check alone; loops without one give no finding."""

import os

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tensorflow_loops import BROKEN_LOOPS, Loop  # noqa: E402 - after the skip
from toy_rows import VOCAB_SIZE, toy_rows  # noqa: E402

from minilm import doctor  # noqa: E402
from minilm.backends.tensorflow.net import keras  # noqa: E402


def names(loop, steps=13, **given):
    with doctor.attach_tensorflow(**given) as watching:
        losses = list(loop.run(steps))
    return [finding.name for finding in watching.findings()], watching, losses


@pytest.mark.parametrize("broken_loop", BROKEN_LOOPS, ids=lambda loop: loop.__name__)
def test_each_seeded_mistake_is_found_by_its_check_alone(broken_loop):
    loop = broken_loop()
    assert names(loop, model=loop.net, optimizer=loop.optimizer)[0] == [broken_loop.finding]


def test_the_mistakes_reach_every_check_that_can_be_broken_in_tensorflow():
    findings = {loop.finding for loop in BROKEN_LOOPS}
    print(f"{len(BROKEN_LOOPS)} mistakes in TensorFlow, {len(findings)} checks of {len(doctor.CHECKS)}")
    assert {check.__name__ for check, _ in doctor.CHECKS} - findings == {"gradients_not_zeroed"}


def test_a_right_traced_loop_of_200_steps_gives_no_finding_and_its_losses_are_not_touched():
    plain = list(Loop().run(200))
    found, watching, losses = names(Loop(), 200)
    assert (found, watching.steps) == ([], 200)
    np.testing.assert_allclose(losses, plain, rtol=1e-5)


def test_an_eager_loop_is_seen_as_a_traced_one_is():
    traced, eager = names(Loop(), 3)[1], names(Loop(traced=False), 3)[1]
    for one, other in zip(traced.records[:3], eager.records[:3], strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5)
        assert list(one.used.values()) == pytest.approx(list(other.used.values()), rel=1e-4)
        np.testing.assert_allclose(one.look.losses, other.look.losses, atol=1e-5)


def fitted(optimizer, seed=None):
    """Keras's own fit of a small model, watched."""
    data = np.concatenate([toy_rows(step) for step in range(40)])
    tf.random.set_seed(seed)
    layers = [
        keras.layers.Embedding(VOCAB_SIZE, 16),
        keras.layers.LSTM(24, return_sequences=True),
        keras.layers.Dense(VOCAB_SIZE),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    with doctor.attach_tensorflow() as watching:
        model.compile(optimizer, loss)
        model.fit(data[:, :-1], data[:, 1:], batch_size=8, epochs=2, verbose=0)
    return [finding.name for finding in watching.findings()], watching.steps


def test_a_loss_that_expects_probabilities_but_gets_logits_is_named():
    class NoSoftmax(Loop):
        def loss(self, logits, targets):
            return keras.losses.SparseCategoricalCrossentropy(from_logits=False)(targets, logits)

    with doctor.attach_tensorflow() as watching:
        list(NoSoftmax().run(4))
    (finding,) = watching.findings()
    assert finding.name == "loss_at_start"
    assert "expects probabilities but gets logits" in finding.cause
    assert "from_logits=True" in finding.fix


def test_dropout_that_is_always_on_is_no_leaking_state():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = keras.layers.Embedding(24, 16), keras.layers.Dense(24)

        def call(self, ids, training=False):
            return self.head(tf.nn.dropout(self.embedding(ids), 0.3)), None

    class DropoutByHand(Loop):
        def make_net(self):
            return Net()

    assert names(DropoutByHand())[0] == ["modes_mixed"]


@pytest.mark.slow
def test_fit_of_keras_is_watched():
    found, steps = fitted(keras.optimizers.SGD(0.1))
    assert (found, steps) == ([], 60)


@pytest.mark.slow
def test_adam_of_keras_steps_too_far_on_repeated_ids_and_a_seed_repeats_the_order_of_fit():
    """With a global seed, tf.data's shuffle begins anew each epoch: the order is the same."""
    assert fitted(keras.optimizers.Adam(0.01), seed=0)[0] == ["repeated_id_steps", "order_repeated"]


def test_after_the_with_keras_is_as_it_was():
    before = (keras.Layer.__call__, keras.optimizers.Optimizer.apply, tf.GradientTape.gradient)
    with doctor.attach_tensorflow():
        assert keras.Layer.__call__ is not before[0]
    assert (keras.Layer.__call__, keras.optimizers.Optimizer.apply, tf.GradientTape.gradient) == before
