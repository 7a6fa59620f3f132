"""A training step as anyone would write it in TensorFlow under tf.function, and how ours compares with it.

Keras layers, Keras's Adam; the loss is read at every step, as ours is.
"""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.tensorflow_loops import PlainNet
from minilm.bench.training import DROPOUT, VOCAB_SIZE, batches, train_words

__all__ = ["plain_loop", "training"]


def plain_loop(steps: int, dropout: float = 0) -> Work:
    """The work of so many training steps on a fresh net."""
    net, adam = PlainNet(VOCAB_SIZE, dropout=dropout), tf.keras.optimizers.Adam(1e-3)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    prepared = batches(steps)

    @tf.function
    def step(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, _, _ = net(inputs, training=True)
            loss = loss_of(targets, logits)
        adam.apply_gradients(
            zip(tape.gradient(loss, net.trainable_variables), net.trainable_variables, strict=True)
        )
        return loss

    def work() -> float:
        return sum(float(step(tf.constant(inputs), tf.constant(targets))) for inputs, targets in prepared)

    return work


def training(quick: bool) -> Iterator[Figure]:
    """Training steps per second in TensorFlow, ours over the plain loop; with dropout apart."""
    steps, runs = (2, 3) if quick else (5, 21)
    ours, plain = train_words("tensorflow", steps), plain_loop(steps)
    yield in_turns("TensorFlow training / plain tf.function", ours, plain, runs, 0.95)
    ours, plain = train_words("tensorflow", steps, DROPOUT), plain_loop(steps, DROPOUT)
    yield in_turns("TensorFlow training / plain tf.function, with dropout", ours, plain, runs, None)
