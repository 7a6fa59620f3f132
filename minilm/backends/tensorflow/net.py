"""The LSTM language model as anyone would write it in Keras, and its variables under canonical names.

No NumPy face, loss or optimizer: those are in tensorflow_lstm.py. TensorFlow is silent only with both
settings below, made before its import; without oneDNN its sums have the order of the reference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig

__all__ = ["Net", "array", "device_named", "tensor", "variables_by_name"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


class Net(keras.Model):
    """Embedding, LSTM layers and a linear head; dropout stands between as masks that are handed in."""

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        zeros: dict[str, Any] = {"dtype": dtype, "kernel_initializer": "zeros"}  # weights are handed in
        self.embedding = keras.layers.Embedding(
            config.vocab_size, config.embedding_size, embeddings_initializer="zeros", dtype=dtype
        )
        self.lstms = [
            keras.layers.LSTM(
                config.hidden_size,
                return_sequences=True,
                return_state=True,
                recurrent_initializer="zeros",
                **zeros,
            )
            for _ in range(config.layers)
        ]
        self.head = keras.layers.Dense(config.vocab_size, **zeros)
        self.embedding.build((None, None))
        for number, layer in enumerate(self.lstms):
            layer.build((None, None, config.hidden_size if number else config.embedding_size))
        self.head.build((None, None, config.hidden_size))
        self.built = True

    def call(
        self, values: Any, state: Sequence[Any] | None = None, dropout: Sequence[Any] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Embeddings (B, T, E) to each layer's output (B, T, H) and each layer's [h, c] (B, H) after it."""
        outputs, after = [], []
        for number, layer in enumerate(self.lstms):
            values, hidden, cell = layer(values, initial_state=list(state[number]) if state else None)
            if dropout is not None:
                values = values * dropout[number]
            outputs.append(values)
            after.append([hidden, cell])
        return outputs, after

    def step(self, value: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """One embedding (1, E) through every layer's cell, without Keras's loop over time."""
        after = []
        for layer, before in zip(self.lstms, state, strict=True):
            value, last = layer.cell(value, list(before))
            after.append(list(last))
        return value, after


def variables_by_name(net: Net) -> dict[str, Any]:
    """TensorFlow's variables by canonical name; Keras's layout is the canonical one."""
    found: dict[str, Any] = {"embedding": net.embedding.embeddings}
    for number, layer in enumerate(net.lstms):
        found[f"lstm.{number}.kernel"] = layer.cell.kernel
        found[f"lstm.{number}.recurrent"] = layer.cell.recurrent_kernel
        found[f"lstm.{number}.bias"] = layer.cell.bias
    found |= {"head.kernel": net.head.kernel, "head.bias": net.head.bias}
    return {name: variable.value for name, variable in found.items()}


def device_named(name: str) -> str:
    """TensorFlow's name of cpu, cuda or gpu (with :N for one of several)."""
    kind, _, number = name.partition(":")
    kind = {"cuda": "GPU"}.get(kind, kind.upper())
    known = (
        [device.name for device in tf.config.list_physical_devices(kind)] if kind in ("CPU", "GPU") else []
    )
    if f"/physical_device:{kind}:{number or 0}" not in known:
        raise MinilmError(f"Device {name!r} is not to be had here by TensorFlow; use --device cpu")
    if keras.backend.backend() != "tensorflow":
        raise MinilmError(f"Keras runs on {keras.backend.backend()} here; set KERAS_BACKEND=tensorflow")
    return f"/{kind}:{number or 0}"


def tensor(values: Array) -> Any:
    """A float32 tensor."""
    return tf.constant(np.asarray(values, np.float32))


def array(values: Any) -> Array:
    """A float64 array of a tensor, or of what NumPy takes for an array."""
    return np.asarray(values, np.float64)
