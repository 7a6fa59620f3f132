"""TensorFlow: what anyone would write without minilm, and how ours compares with it.

The debug loop calls Keras layers eagerly, token by token; the training loop is a step under tf.function with
Keras's Adam. torch.py says the same in PyTorch's words.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import tensorflow as tf

from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.workloads import (
    DROPOUT,
    PROMPT,
    VOCAB_SIZE,
    FakeCodec,
    make_batches,
    stream_fresh,
    train_fresh,
)
from minilm.doctor.tensorflow.attach import attach

__all__ = ["PlainNet", "debug_loop", "measure_doctor", "measure_streaming", "measure_training", "train_plain"]


class PlainNet(tf.keras.Model):
    """Embedding, LSTM, output layer: ids (B, T) -> logits (B, T, V), state, embeddings (B, T, E)."""

    def __init__(self, vocab_size: int, embedding_size: int = 64, hidden_size: int = 128, dropout: float = 0):
        super().__init__()
        self.embed = tf.keras.layers.Embedding(vocab_size, embedding_size)
        self.lstm = tf.keras.layers.LSTM(hidden_size, return_sequences=True, return_state=True)
        self.drop = tf.keras.layers.Dropout(dropout)
        self.head = tf.keras.layers.Dense(vocab_size)

    def call(self, ids: Any, state: Any = None, training: bool = False) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the logits, the state after the ids, and the embeddings of the ids."""
        embeddings = self.embed(ids)
        hidden, *state = self.lstm(embeddings, initial_state=state, training=training)
        return self.head(self.drop(hidden, training=training)), state, embeddings


def _sample(logits: Any, temperature: float, top_k: int, top_p: float) -> int:
    p = tf.nn.softmax(logits / temperature, axis=-1)  # (1, V)
    best, _ = tf.math.top_k(p, k=top_k)
    p = tf.where(p < best[:, -1:], tf.zeros_like(p), p)
    indices = tf.argsort(p, direction="DESCENDING", axis=-1)
    ordered = tf.gather(p, indices, batch_dims=1)
    before = tf.cumsum(ordered, axis=-1, exclusive=True)
    ordered = tf.where(before > top_p, tf.zeros_like(ordered), ordered)
    p = tf.scatter_nd(indices[0][:, None], ordered[0], tf.shape(p)[1:])[None]
    return int(tf.random.categorical(tf.math.log(p / tf.reduce_sum(p)), 1)[0, 0])


def debug_loop(net: Any, codec: FakeCodec, tokens: int) -> str:
    """Generate `tokens` tokens and print, into memory, what the embedding of each looks like."""
    out = io.StringIO()
    ids = codec.encode(PROMPT, special=True)
    read, state = tf.constant([ids]), None
    for _ in range(tokens):
        logits, state, embeddings = net(read, state)
        vector = embeddings[0, -1]
        print("\n--- token ---", file=out)
        print(f"id: {ids[-1]}", file=out)
        print(f"embedding shape: {tuple(vector.shape)}", file=out)
        print(f"embedding norm: {float(tf.norm(vector)):.6f}", file=out)
        print(f"embedding vector: {vector.numpy().tolist()}", file=out)
        token_id = _sample(logits[:, -1, :], 0.8, 40, 0.9)
        print(codec.piece(token_id).replace("▁", " "), end="", file=out, flush=True)
        print(f" [{token_id}]", end="", file=out, flush=True)
        ids.append(token_id)
        read = tf.constant([[token_id]])
    return out.getvalue()


def measure_streaming(quick: bool) -> Iterator[Figure]:
    """Measure streaming with the full record against the eager debug loop."""
    tokens, runs = (10, 3) if quick else (25, 15)
    for vocab_size in (512, 4000):
        plain = partial(debug_loop, PlainNet(vocab_size), FakeCodec(vocab_size), tokens)
        ours = stream_fresh("tensorflow", vocab_size, tokens)
        yield in_turns(f"TensorFlow stream / eager debug loop, V={vocab_size}", ours, plain, runs, 6.0)


def train_plain(steps: int, dropout: float = 0) -> Work:
    """Return the work of `steps` training steps on a fresh net; it reads the loss at every step, as ours."""
    net, adam = PlainNet(VOCAB_SIZE, dropout=dropout), tf.keras.optimizers.Adam(1e-3)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    prepared = make_batches(steps)

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


def measure_training(quick: bool) -> Iterator[Figure]:
    """Measure training steps per second, ours over the plain loop, without dropout and with it."""
    steps, runs = (2, 3) if quick else (5, 21)
    ours, plain = train_fresh("tensorflow", steps), train_plain(steps)
    yield in_turns("TensorFlow training / plain tf.function", ours, plain, runs, 0.95)
    ours, plain = train_fresh("tensorflow", steps, DROPOUT), train_plain(steps, DROPOUT)
    yield in_turns("TensorFlow training / plain tf.function, with dropout", ours, plain, runs, None)


def measure_doctor(quick: bool) -> Iterator[Figure]:
    """Measure 25 training steps with the doctor attached, over those without; 25 % more time is allowed.

    Each side has a loop of its own, traced before it is measured: the watched loop while the doctor is
    attached.
    """
    steps, runs = (5, 3) if quick else (25, 5)
    plain, watched = train_plain(steps), train_plain(steps)
    with ExitStack() as stack:
        stack.enter_context(attach())
        watched()
        stack.close()
        # The trace of the watched loop goes on handing its steps to Python.
        yield in_turns("TensorFlow loop with the doctor / alone", watched, plain, runs, 1.25, at_least=False)
