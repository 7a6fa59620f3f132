"""Mistakes in the net, in TensorFlow: what it is built of, how it begins, the mode that it is left in.

Each class is read beside tensorflow_loop.Loop, of which it changes one method; its check stands in BUGS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.rows import VOCAB_SIZE
from minilm.doctor.tensorflow_loop import Loop, Net

__all__ = ["BUGS"]


class FutureVisible(Loop):
    """The LSTM reads in both directions."""

    def model(self) -> Any:
        lstm = keras.layers.LSTM(12, return_sequences=True, return_state=True)
        return Net(lstm=keras.layers.Bidirectional(lstm))


class StateKept(Loop):
    """stateful=True, over batches of other texts."""

    def model(self) -> Any:
        return Net(lstm=keras.layers.LSTM(24, return_sequences=True, return_state=True, stateful=True))


class SaturatedGates(Loop):
    """The LSTM's first weights are a hundred times too large."""

    def prepare(self) -> None:
        for weight in (self.net.embedding.embeddings, *self.net.lstm.weights):
            weight.assign(weight * 100)


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


class BatchNotFirst(Loop):
    """Time and batch are swapped before the LSTM, and swapped back behind it."""

    class Net(Net):
        """From row to row."""

        def call(self, ids: Any, state: Any = None, training: bool = False) -> tuple[Any, Any]:
            logits, state = super().call(tf.transpose(ids), state, training)
            return tf.transpose(logits, (1, 0, 2)), state

    def model(self) -> Any:
        return self.Net()


BUGS: dict[type[Loop], str] = {  # the mistake -> the check that must find it, and no other
    FutureVisible: "future_visible",
    StateKept: "state_leaking",
    SaturatedGates: "saturated_gates",
    ExplodingNorms: "exploding_norms",
    VanishingNorms: "vanishing_norms",
    EvaluationMode: "modes_mixed",
    DropoutAlways: "modes_mixed",
    SoftmaxTwice: "softmax_twice",
    FrozenEmbedding: "frozen_embedding",
    SoftmaxOverTime: "wrong_dimension",
    BatchNotFirst: "wrong_dimension",
}
