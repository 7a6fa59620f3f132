"""The bug museum's mistakes in TensorFlow: the right loop with one method changed, one class per mistake.

What cannot be done wrong in TensorFlow is not here: a tape's gradients are never left over, for one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.backends.tensorflow_net import keras, tf
from minilm.doctor.rows import VOCAB_SIZE
from minilm.doctor.tensorflow_loop import Loop, Net

__all__ = ["BUGS"]


class TargetsNotShifted(Loop):
    """Each id is its own target."""

    def cut(self, ids: Any) -> tuple[Any, Any]:
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows."""

    def cut(self, ids: Any) -> tuple[Any, Any]:
        return ids[:, :-1], np.roll(ids[:, 1:], 1, axis=0)


class FutureVisible(Loop):
    """The LSTM reads in both directions."""

    def model(self) -> Any:
        lstm = keras.layers.LSTM(12, return_sequences=True, return_state=True)
        return Net(lstm=keras.layers.Bidirectional(lstm))


class PaddingCounted(Loop):
    """The loss does not know the padding."""

    def loss(self, logits: Any, targets: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))


class PaddingDivides(Loop):
    """A weight of 0 for the padding, in Keras's loss: it divides by all."""

    def loss(self, logits: Any, targets: Any) -> Any:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return loss(targets, logits, sample_weight=tf.cast(targets != 0, tf.float32))


class StateKept(Loop):
    """stateful=True, over batches of other texts."""

    def model(self) -> Any:
        return Net(lstm=keras.layers.LSTM(24, return_sequences=True, return_state=True, stateful=True))


class LossSummed(Loop):
    """The loss is a sum, not a mean."""

    def loss(self, logits: Any, targets: Any) -> Any:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(losses * tf.cast(targets != 0, losses.dtype))


class ClipPerParameter(Loop):
    """clipnorm, which is per variable."""

    def adam(self) -> Any:
        return keras.optimizers.Adam(self.rate, clipnorm=0.03)


class HeadForgotten(Loop):
    """The tape is not asked for the head."""

    def weights(self) -> list[Any]:
        return self.net.trainable_variables[:-2]


class SaturatedGates(Loop):
    """The LSTM's first weights are a hundred times too large."""

    def prepare(self) -> None:
        for weight in (self.net.embedding.embeddings, *self.net.lstm.weights):
            weight.assign(weight * 100)


class IgnoredWord(Loop):
    """The mask of the padding leaves a word out too."""

    def loss(self, logits: Any, targets: Any) -> Any:
        return super().loss(logits, tf.where(targets == 10, tf.zeros_like(targets), targets))


class ExplodingNorms(Loop):
    """A recurrent layer without gates, whose weights let the gradient grow."""

    def model(self) -> Any:
        recurrent = keras.layers.SimpleRNN(24, activation="relu", return_sequences=True, return_state=True)
        return Net(lstm=recurrent)

    def prepare(self) -> None:
        self.net.lstm.cell.recurrent_kernel.assign(4 * np.eye(24))
        self.net.embedding.embeddings.assign(self.net.embedding.embeddings * 20)


class VanishingNorms(Loop):
    """Twelve sigmoid layers between the LSTM and the head."""

    def model(self) -> Any:
        layers = [keras.layers.Dense(24, activation="sigmoid") for _ in range(12)]
        return Net(head=keras.Sequential([*layers, keras.layers.Dense(VOCAB_SIZE)]))


class RateTooHigh(Loop):
    """Adam at a rate of 1."""

    rate = 1.0


class EvaluationMode(Loop):
    """training=True is forgotten, so the dropout never works."""

    def model(self) -> Any:
        return Net(dropout=0.3)

    def read(self, inputs: Any) -> Any:
        return self.net(inputs)[0]


class DropoutAlways(Loop):
    """The dropout does not ask for the mode."""

    class Net(Net):
        """training=True inside the net."""

        def call(self, ids: Any, state: Any = None, training: bool = False) -> tuple[Any, Any]:
            return super().call(ids, state, training=True)

    def model(self) -> Any:
        return self.Net(dropout=0.3)


class SoftmaxTwice(Loop):
    """The net ends in a softmax, and the loss takes another."""

    def model(self) -> Any:
        return Net(head=keras.layers.Dense(VOCAB_SIZE, activation="softmax"))


class FrozenEmbedding(Loop):
    """The embedding is not trainable."""

    def prepare(self) -> None:
        self.net.embedding.trainable = False


class SoftmaxOverTime(Loop):
    """A softmax over the positions."""

    class Net(Net):
        """The wrong axis."""

        def call(self, ids: Any, state: Any = None, training: bool = False) -> tuple[Any, Any]:
            logits, state = super().call(ids, state, training)
            return tf.nn.softmax(logits, axis=1), state

    def model(self) -> Any:
        return self.Net()


class ReshapeForTranspose(Loop):
    """The logits are reshaped over the wrong axes."""

    def loss(self, logits: Any, targets: Any) -> Any:
        shape = tf.shape(logits)
        mixed = tf.reshape(logits, (shape[0], shape[2], shape[1]))
        return super().loss(tf.transpose(mixed, (0, 2, 1)), targets)


class BatchNotFirst(Loop):
    """Time and batch are swapped before the LSTM, and swapped back behind it."""

    class Net(Net):
        """From row to row."""

        def call(self, ids: Any, state: Any = None, training: bool = False) -> tuple[Any, Any]:
            logits, state = super().call(tf.transpose(ids), state, training)
            return tf.transpose(logits, (1, 0, 2)), state

    def model(self) -> Any:
        return self.Net()


class SlicesNotSummed(Loop):
    """The embedding's IndexedSlices go to Keras's Adam as they are."""

    def update(self, gradients: list[Any]) -> None:
        self.optimizer.apply(gradients, self.weights())


class OrderRepeated(Loop):
    """Six batches, in the same order every epoch."""

    def batch(self, step: int) -> Any:
        return super().batch(step % 6)


class EmptyMask(Loop):
    """From the fifth step on a mask is empty, and the loss divided by nothing."""

    def cut(self, ids: Any) -> tuple[Any, Any]:
        self.seen = getattr(self, "seen", 0) + 1
        return (ids[:, :-1], ids[:, 1:]) if self.seen < 5 else (ids[:, :-1], ids[:, 1:] * 0)


BUGS: dict[type[Loop], str] = {  # the mistake -> the check that must find it, and no other
    TargetsNotShifted: "targets_not_shifted",
    ShuffledTargets: "shuffled_targets",
    FutureVisible: "future_visible",
    PaddingCounted: "padding_counted",
    PaddingDivides: "padding_counted",
    StateKept: "state_leaking",
    LossSummed: "loss_at_start",
    ClipPerParameter: "clipping_misplaced",
    HeadForgotten: "parameters_never_move",
    SaturatedGates: "saturated_gates",
    IgnoredWord: "dead_tokens",
    ExplodingNorms: "exploding_norms",
    VanishingNorms: "vanishing_norms",
    RateTooHigh: "rate_too_high",
    EvaluationMode: "modes_mixed",
    DropoutAlways: "modes_mixed",
    SoftmaxTwice: "softmax_twice",
    FrozenEmbedding: "frozen_embedding",
    SoftmaxOverTime: "wrong_dimension",
    ReshapeForTranspose: "wrong_dimension",
    BatchNotFirst: "wrong_dimension",
    SlicesNotSummed: "repeated_id_steps",
    OrderRepeated: "order_repeated",
    EmptyMask: "non_finite",
}
