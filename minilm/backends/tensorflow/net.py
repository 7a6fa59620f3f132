"""The LSTM language model as anyone would write it in Keras, and its variables by canonical name.

The file holds no loss and no optimizer: those are in traced.py. Read it beside torch/net.py: both say the
same in the words of their framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig, frozen_array

__all__ = ["Net", "find_device", "name_variables", "to_array", "to_tensor", "view"]


class Net(keras.Model):
    """Embedding, LSTM layers and a linear head. Dropout masks are handed in.

    There is one LSTM per layer, so that a dropout mask fits between two layers.

    Args:
        config: the sizes V, E, H and the number of layers.
        dtype: "float32" or "float64".
    """

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        super().__init__(dtype=dtype)
        # zeros: the weights are handed in later, so no first weights need to be drawn
        zeros: dict[str, Any] = {"dtype": dtype, "kernel_initializer": "zeros"}
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
        # Keras makes a layer's variables at its first call; build() makes them now, to be filled
        self.embedding.build((None, None))
        for number, layer in enumerate(self.lstms):
            layer.build((None, None, config.hidden_size if number else config.embedding_size))
        self.head.build((None, None, config.hidden_size))
        self.built = True

    def call(
        self, values: Any, state: Sequence[Any] | None = None, dropout: Sequence[Any] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Run the layers over embeddings, one layer after the other.

        Args:
            values: (B, T, E) embeddings.
            state: [h, c] of each layer, (B, H) each; None begins with zeros.
            dropout: one mask (B, T, H) per layer; None drops nothing.

        Returns:
            Each layer's output (B, T, H), and each layer's [h, c] after the last step.
        """
        outputs, after = [], []
        for number, layer in enumerate(self.lstms):
            # The layer computes, for every step t, as numpy/layer.py does by hand:
            #   z_t = x_t W + h_{t-1} U + b
            #   i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
            #   c_t = f * c_{t-1} + i * g
            #   h_t = o * tanh(c_t)
            values, hidden, cell = layer(values, initial_state=list(state[number]) if state else None)
            if dropout is not None:
                values = values * dropout[number]
            outputs.append(values)
            after.append([hidden, cell])
        return outputs, after

    def step(self, value: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Run one embedding (1, E) through every layer's cell, without Keras's loop over time.

        Returns:
            The last layer's output (1, H), and each layer's [h, c] (1, H) after the step.
        """
        after = []
        for layer, before in zip(self.lstms, state, strict=True):
            value, last = layer.cell(value, list(before))
            after.append(list(last))
        return value, after


def name_variables(net: Net) -> dict[str, Any]:
    """Return TensorFlow's variables by canonical name. Keras lays them out as the canonical arrays are."""
    found: dict[str, Any] = {"embedding": net.embedding.embeddings}
    for number, layer in enumerate(net.lstms):
        found[f"lstm.{number}.kernel"] = layer.cell.kernel
        found[f"lstm.{number}.recurrent"] = layer.cell.recurrent_kernel
        found[f"lstm.{number}.bias"] = layer.cell.bias
    found |= {"head.kernel": net.head.kernel, "head.bias": net.head.bias}
    # Keras wraps each tf.Variable in a variable of its own; .value is TensorFlow's
    return {name: variable.value for name, variable in found.items()}


def find_device(name: str) -> str:
    """Return TensorFlow's name of "cpu", "cuda" or "gpu" (with :N for one of several).

    Raises:
        MinilmError: TensorFlow does not see the device, or Keras runs on another framework.
    """
    kind, _, number = name.partition(":")
    kind = {"cuda": "GPU"}.get(kind, kind.upper())
    known = (
        [device.name for device in tf.config.list_physical_devices(kind)] if kind in ("CPU", "GPU") else []
    )
    if f"/physical_device:{kind}:{number or 0}" not in known:
        raise MinilmError(f"TensorFlow has no device {name!r} here; use --device cpu")
    if keras.backend.backend() != "tensorflow":
        raise MinilmError(f"Keras runs on {keras.backend.backend()} here; set KERAS_BACKEND=tensorflow")
    return f"/{kind}:{number or 0}"


def view(tensor: Any) -> Array:
    """Return a read-only NumPy array of a tensor. On the CPU it shares the tensor's memory."""
    # np.asarray reads the tensor's memory where .numpy() would copy it. A variable that has been looked at is
    # written to new memory at its next update, so the array keeps its numbers.
    return frozen_array(tensor)


def to_tensor(values: Array) -> Any:
    """Return a float32 tensor with a copy of the values."""
    return tf.constant(np.asarray(values, np.float32))


def to_array(values: Any) -> Array:
    """Return a float64 array of a tensor, or of anything that NumPy makes an array of."""
    return np.asarray(values, np.float64)
