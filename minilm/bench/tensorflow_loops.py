"""Streaming from an LSTM as anyone would write it in TensorFlow: Keras layers called eagerly, token by token.

The same debug loop as in torch_loops.py, in TensorFlow's words.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from minilm.bench.measure import Figure, in_turns
from minilm.bench.streaming import PROMPT, stream_words
from minilm.bench.words import Words

__all__ = ["PlainNet", "debug_loop", "streaming"]


class PlainNet(tf.keras.Model):
    """Embedding, LSTM, output layer: ids (B, T) -> logits (B, T, V), state, embeddings (B, T, E)."""

    def __init__(self, vocab_size: int, embedding_size: int = 64, hidden_size: int = 128, dropout: float = 0):
        super().__init__()
        self.embed = tf.keras.layers.Embedding(vocab_size, embedding_size)
        self.lstm = tf.keras.layers.LSTM(hidden_size, return_sequences=True, return_state=True)
        self.drop = tf.keras.layers.Dropout(dropout)
        self.head = tf.keras.layers.Dense(vocab_size)

    def call(self, ids: Any, state: Any = None, training: bool = False) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Logits, the state after the ids, and their embeddings."""
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


def debug_loop(net: Any, codec: Words, tokens: int) -> str:
    """Generate as many tokens, printing (into memory) what the embedding of each looks like."""
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


def streaming(quick: bool) -> Iterator[Figure]:
    """TensorFlow with the full record against the eager debug loop."""
    tokens, runs = (10, 3) if quick else (25, 15)
    for vocab_size in (512, 4000):
        plain = partial(debug_loop, PlainNet(vocab_size), Words(vocab_size), tokens)
        ours = stream_words("tensorflow", vocab_size, tokens)
        yield in_turns(f"TensorFlow stream / eager debug loop, V={vocab_size}", ours, plain, runs, 6.0)
