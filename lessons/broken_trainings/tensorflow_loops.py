"""One correct training loop in TensorFlow, and 24 loops that each break it with one classic bug.

Read `Loop` first. Every class after it changes one method, and its first line names the bug. `finding` is
what `minilm doctor` must report for it, and nothing else. Some bugs of torch_loops.py cannot happen in
TensorFlow: a GradientTape starts from zero, for example, so no gradients are left over from the last step.
"""

import os

# TensorFlow prints nothing while it starts, and adds numbers in the same order on every machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import tensorflow as tf
from toy_rows import PAD, VOCAB_SIZE, toy_rows

EMBEDDING_SIZE, HIDDEN_SIZE = 16, 24


class Net(keras.Model):
    """Ids (B, T) become logits (B, T, V) and the LSTM's last state."""

    def __init__(self, dropout=0.0, lstm=None, head=None):
        super().__init__()
        self.embedding = keras.layers.Embedding(VOCAB_SIZE, EMBEDDING_SIZE)
        self.lstm = lstm or keras.layers.LSTM(HIDDEN_SIZE, return_sequences=True, return_state=True)
        self.dropout = keras.layers.Dropout(dropout)
        self.head = head or keras.layers.Dense(VOCAB_SIZE)

    def call(self, ids, state=None, training=False):
        """Return the logits and the new state."""
        outputs, *state = self.lstm(self.embedding(ids), initial_state=state)
        return self.head(self.dropout(outputs, training=training)), state


class Loop:
    """The correct loop: the doctor finds nothing."""

    finding = ""
    rate = 0.01

    def __init__(self, traced=True):
        keras.utils.set_random_seed(0)
        self.net = self.make_net()
        # Keras makes the weights at the first call.
        self.net(tf.constant(toy_rows(0)[:, :-1]))
        self.prepare_weights()
        self.optimizer = self.make_optimizer()
        self.optimizer.build(self.weights())
        self.step = tf.function(self.train_step, reduce_retracing=True) if traced else self.train_step

    def make_net(self):
        """Return the net."""
        return Net()

    def prepare_weights(self):
        """Change the first weights; the correct loop leaves them as they are."""

    def make_optimizer(self):
        """Return Adam."""
        return keras.optimizers.Adam(self.rate)

    def weights(self):
        """Return the variables to train."""
        return self.net.trainable_variables

    def batch(self, step):
        """Return the ids (B, T+1) of a step."""
        return toy_rows(step)

    def cut(self, ids):
        """Return inputs and targets (B, T): each target is the id after its input."""
        return ids[:, :-1], ids[:, 1:]

    def read(self, inputs):
        """Return the logits (B, T, V), from a zero state."""
        return self.net(inputs, training=True)[0]

    def loss(self, logits, targets):
        """Return the mean loss in nats per token; padding does not count."""
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        mask = tf.cast(targets != PAD, losses.dtype)
        return tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)

    def update(self, gradients):
        """Sum the slices of the embedding's gradient, clip the global norm to 1, and update the weights."""
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self.optimizer.apply(gradients, self.weights())

    def train_step(self, inputs, targets):
        """Run forward, backward and update; return the loss."""
        with tf.GradientTape() as tape:
            loss = self.loss(self.read(inputs), targets)
        self.update(tape.gradient(loss, self.weights()))
        return loss

    def run(self, steps):
        """Train, and yield the loss of every step."""
        for step in range(steps):
            inputs, targets = self.cut(self.batch(step))
            yield float(self.step(tf.constant(inputs), tf.constant(targets)))


# Bugs in the data: how ids become inputs and targets, and which batch comes when.


class TargetsNotShifted(Loop):
    """Each id is its own target, so the model learns to copy."""

    finding = "targets_not_shifted"

    def cut(self, ids):
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows than the inputs."""

    finding = "shuffled_targets"

    def cut(self, ids):
        return ids[:, :-1], np.roll(ids[:, 1:], 1, axis=0)


class EmptyMask(Loop):
    """From step 5 on every target is padding, so the loss divides zero by zero."""

    finding = "non_finite"
    steps_cut = 0

    def cut(self, ids):
        self.steps_cut += 1
        targets = ids[:, 1:] if self.steps_cut < 5 else np.full_like(ids[:, 1:], PAD)
        return ids[:, :-1], targets


class OrderRepeated(Loop):
    """The same six batches come in the same order in every epoch."""

    finding = "order_repeated"

    def batch(self, step):
        return super().batch(step % 6)


# Bugs in the loss.


class PaddingCounted(Loop):
    """The loss counts the padding, because it has no mask."""

    finding = "padding_counted"

    def loss(self, logits, targets):
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))


class PaddingDivides(Loop):
    """The padding has weight 0 in Keras's loss, but the mean still divides by all positions."""

    finding = "padding_counted"

    def loss(self, logits, targets):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return loss(targets, logits, sample_weight=tf.cast(targets != PAD, tf.float32))


class IgnoredWord(Loop):
    """The mask leaves out a real word (id 10) as well as the padding."""

    finding = "dead_tokens"

    def loss(self, logits, targets):
        return super().loss(logits, tf.where(targets == 10, tf.zeros_like(targets), targets))


class LossSummed(Loop):
    """The loss is the sum over the tokens, not their mean."""

    finding = "loss_at_start"

    def loss(self, logits, targets):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        return tf.reduce_sum(losses * tf.cast(targets != PAD, losses.dtype))


class ReshapeForTranspose(Loop):
    """The logits are reshaped where their axes should be swapped."""

    finding = "wrong_dimension"

    def loss(self, logits, targets):
        batch, length, vocab_size = tf.unstack(tf.shape(logits))
        mixed = tf.reshape(logits, (batch, vocab_size, length))
        return super().loss(tf.transpose(mixed, (0, 2, 1)), targets)


# Bugs in the update.


class SlicesNotSummed(Loop):
    """The embedding's gradient reaches Keras's Adam as slices, one for each time that an id occurs."""

    finding = "repeated_id_steps"

    def update(self, gradients):
        self.optimizer.apply(gradients, self.weights())


class HeadForgotten(Loop):
    """The tape is not asked for the gradients of the head."""

    finding = "parameters_never_move"

    def weights(self):
        return self.net.trainable_variables[:-2]


class ClipPerParameter(Loop):
    """clipnorm clips each variable alone, which changes the direction of the step."""

    finding = "clipping_misplaced"

    def make_optimizer(self):
        return keras.optimizers.Adam(self.rate, clipnorm=0.03)


class RateTooHigh(Loop):
    """Adam's learning rate is 1, about a hundred times too high."""

    finding = "rate_too_high"
    rate = 1.0


# Bugs in the net and its state.


class StateKept(Loop):
    """stateful=True keeps the state of the last batch, but the next batch has other texts."""

    finding = "state_leaking"

    def make_net(self):
        return Net(
            lstm=keras.layers.LSTM(HIDDEN_SIZE, return_sequences=True, return_state=True, stateful=True)
        )


class FutureVisible(Loop):
    """The LSTM reads in both directions, so it sees the answer."""

    finding = "future_visible"

    def make_net(self):
        lstm = keras.layers.LSTM(HIDDEN_SIZE // 2, return_sequences=True, return_state=True)
        return Net(lstm=keras.layers.Bidirectional(lstm))


class BatchNotFirst(Loop):
    """Time and batch are swapped before the LSTM, so it runs from row to row."""

    finding = "wrong_dimension"

    class Net(Net):
        """A net that swaps the axes, and swaps them back at the end."""

        def call(self, ids, state=None, training=False):
            logits, state = super().call(tf.transpose(ids), state, training)
            return tf.transpose(logits, (1, 0, 2)), state

    def make_net(self):
        return self.Net()


class SoftmaxOverTime(Loop):
    """The softmax runs over the positions instead of the vocabulary."""

    finding = "wrong_dimension"

    class Net(Net):
        """A net with a softmax over the wrong axis."""

        def call(self, ids, state=None, training=False):
            logits, state = super().call(ids, state, training)
            return tf.nn.softmax(logits, axis=1), state

    def make_net(self):
        return self.Net()


class SoftmaxTwice(Loop):
    """The net ends in a softmax, and the loss applies another one."""

    finding = "softmax_twice"

    def make_net(self):
        return Net(head=keras.layers.Dense(VOCAB_SIZE, activation="softmax"))


class EmbeddingForgotten(Loop):
    """The tape is not asked for the gradient of the embedding, so it never learns."""

    finding = "frozen_embedding"

    def weights(self):
        return self.net.trainable_variables[1:]


class SaturatedGates(Loop):
    """The first weights of embedding and LSTM are a hundred times too large, so the gates are stuck."""

    finding = "saturated_gates"

    def prepare_weights(self):
        for weight in (self.net.embedding.embeddings, *self.net.lstm.weights):
            weight.assign(weight * 100)


class ExplodingNorms(Loop):
    """A recurrent layer without gates multiplies the gradient by 4 at every step back in time."""

    finding = "exploding_norms"

    def make_net(self):
        recurrent = keras.layers.SimpleRNN(
            HIDDEN_SIZE, activation="relu", return_sequences=True, return_state=True
        )
        return Net(lstm=recurrent)

    def prepare_weights(self):
        self.net.lstm.cell.recurrent_kernel.assign(4 * np.eye(HIDDEN_SIZE))
        self.net.embedding.embeddings.assign(self.net.embedding.embeddings * 20)


class VanishingNorms(Loop):
    """Twelve sigmoid layers between the LSTM and the head let almost no gradient through."""

    finding = "vanishing_norms"

    def make_net(self):
        layers = [keras.layers.Dense(HIDDEN_SIZE, activation="sigmoid") for _ in range(12)]
        return Net(head=keras.Sequential([*layers, keras.layers.Dense(VOCAB_SIZE)]))


# Bugs in the mode: dropout must be on in training, and only there.


class EvaluationMode(Loop):
    """training=True is missing, so the dropout is always off."""

    finding = "modes_mixed"

    def make_net(self):
        return Net(dropout=0.3)

    def read(self, inputs):
        return self.net(inputs)[0]


class DropoutAlways(Loop):
    """The net passes training=True to its dropout, so it is always on."""

    finding = "modes_mixed"

    class Net(Net):
        """A net whose dropout ignores the mode."""

        def call(self, ids, state=None, training=False):
            return super().call(ids, state, training=True)

    def make_net(self):
        return self.Net(dropout=0.3)


BROKEN_LOOPS = tuple(Loop.__subclasses__())
