"""Mistakes in the loop, in TensorFlow: how ids become targets, the loss, the update, the order of the data.

Each class is read beside tensorflow_loop.Loop, of which it changes one method; its check stands in BUGS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.tensorflow_loop import Loop

__all__ = ["BUGS"]


class TargetsNotShifted(Loop):
    """Each id is its own target."""

    def cut(self, ids: Any) -> tuple[Any, Any]:
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows."""

    def cut(self, ids: Any) -> tuple[Any, Any]:
        return ids[:, :-1], np.roll(ids[:, 1:], 1, axis=0)


class PaddingCounted(Loop):
    """The loss does not know the padding."""

    def loss(self, logits: Any, targets: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))


class PaddingDivides(Loop):
    """A weight of 0 for the padding, in Keras's loss: it divides by all."""

    def loss(self, logits: Any, targets: Any) -> Any:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return loss(targets, logits, sample_weight=tf.cast(targets != 0, tf.float32))


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


class IgnoredWord(Loop):
    """The mask of the padding leaves a word out too."""

    def loss(self, logits: Any, targets: Any) -> Any:
        return super().loss(logits, tf.where(targets == 10, tf.zeros_like(targets), targets))


class RateTooHigh(Loop):
    """Adam at a rate of 1."""

    rate = 1.0


class ReshapeForTranspose(Loop):
    """The logits are reshaped over the wrong axes."""

    def loss(self, logits: Any, targets: Any) -> Any:
        shape = tf.shape(logits)
        mixed = tf.reshape(logits, (shape[0], shape[2], shape[1]))
        return super().loss(tf.transpose(mixed, (0, 2, 1)), targets)


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
    PaddingCounted: "padding_counted",
    PaddingDivides: "padding_counted",
    LossSummed: "loss_at_start",
    ClipPerParameter: "clipping_misplaced",
    HeadForgotten: "parameters_never_move",
    IgnoredWord: "dead_tokens",
    RateTooHigh: "rate_too_high",
    ReshapeForTranspose: "wrong_dimension",
    SlicesNotSummed: "repeated_id_steps",
    OrderRepeated: "order_repeated",
    EmptyMask: "non_finite",
}
