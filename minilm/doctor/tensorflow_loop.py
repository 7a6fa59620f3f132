"""One small training loop in TensorFlow, as it should be: the bug museum's mistakes are this loop, changed.

The data are made-up rows of unequal length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.rows import PAD, VOCAB_SIZE, rows

__all__ = ["Loop", "Net"]


class Net(keras.Model):
    """Ids (B, T) to logits (B, T, V) and the state after them."""

    def __init__(self, dropout: float = 0.0, lstm: Any = None, head: Any = None) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(VOCAB_SIZE, 16)
        self.lstm = lstm or keras.layers.LSTM(24, return_sequences=True, return_state=True)
        self.dropout = keras.layers.Dropout(dropout)
        self.head = head or keras.layers.Dense(VOCAB_SIZE)

    def call(self, ids: Any, state: Any = None, training: bool = False) -> tuple[Any, list[Any]]:
        """Logits (B, T, V), state."""
        outputs, *state = self.lstm(self.embedding(ids), initial_state=state)
        return self.head(self.dropout(outputs, training=training)), state


class Loop:
    """The loop without a mistake: the embedding's slices are summed before the clip and the update."""

    rate = 0.01

    def __init__(self, traced: bool = True) -> None:
        keras.utils.set_random_seed(0)
        self.net = self.model()
        self.net(tf.constant(rows(0)[:, :-1]))  # Keras makes the weights at the first reading
        self.prepare()
        self.optimizer = self.adam()
        self.optimizer.build(self.weights())
        self.step = tf.function(self.one_step, reduce_retracing=True) if traced else self.one_step

    def model(self) -> Any:
        """The net."""
        return Net()

    def prepare(self) -> None:
        """What is done to the weights before the training."""

    def adam(self) -> Any:
        """The optimizer."""
        return keras.optimizers.Adam(self.rate)

    def weights(self) -> list[Any]:
        """The weights to train."""
        return self.net.trainable_variables

    def batch(self, step: int) -> Any:
        """The rows of a step, (B, T+1)."""
        return rows(step)

    def cut(self, ids: Any) -> tuple[Any, Any]:
        """Inputs and targets, (B, T)."""
        return ids[:, :-1], ids[:, 1:]

    def read(self, inputs: Any) -> Any:
        """Logits (B, T, V)."""
        return self.net(inputs, training=True)[0]

    def loss(self, logits: Any, targets: Any) -> Any:
        """Nats per token."""
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        mask = tf.cast(targets != PAD, losses.dtype)
        return tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)

    def update(self, gradients: list[Any]) -> None:
        """Sum the slices, clip, apply."""
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply(gradients, self.weights())

    def one_step(self, inputs: Any, targets: Any) -> Any:
        """Forward, backward, update; the loss."""
        with tf.GradientTape() as tape:
            loss = self.loss(self.read(inputs), targets)
        self.update(tape.gradient(loss, self.weights()))
        return loss

    def run(self, steps: int) -> Iterator[float]:
        """Train; yields the loss of every step."""
        for step in range(steps):
            inputs, targets = self.cut(self.batch(step))
            yield float(self.step(tf.constant(inputs), tf.constant(targets)))
