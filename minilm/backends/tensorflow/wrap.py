"""A user's Keras model as a LanguageModel: read with training off, traced where it can be traced."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from minilm.backends.wrapped import Adapter, WrappedModel
from minilm.protocols import TextCodec
from minilm.records import Array

__all__ = ["wrap"]


def wrap(net: Any, codec: TextCodec | None = None) -> WrappedModel:
    """Return the model as a LanguageModel; minilm.backends.wrap says what it must answer."""
    name = type(net).__name__
    try:
        return WrappedModel(_adapter(net, name, tf.function(partial(_call, net), autograph=False)), codec)
    except Exception:
        # a call() that is written for eager mode may fail in any way when it is traced
        return WrappedModel(_adapter(net, name, partial(_call, net)), codec)


def _adapter(net: Any, name: str, call: Any) -> Adapter:
    def ask(ids: Array, state: Any) -> Any:
        return call(tf.constant(ids), state)

    def embed(ids: Array) -> Array | None:
        layers = [net, *net._flatten_layers(include_self=False)]
        tables = (layer for layer in layers if isinstance(layer, keras.layers.Embedding))
        table = next(tables, None)
        return None if table is None else np.asarray(table.embeddings)[ids]

    # TensorFlow's tensors cannot be written to, so a state needs no copy
    return Adapter(name, ask, np.asarray, embed, lambda state: state)


def _call(net: Any, ids: Any, state: Any) -> Any:
    taken = inspect.signature(net.call).parameters.values()
    demanded = [one for one in taken if one.default is one.empty and one.kind in (0, 1)]
    arguments = (ids,) if state is None and len(demanded) < 2 else (ids, state)
    training = {"training": False} if any(one.name == "training" for one in taken) else {}
    return net(*arguments, **training)
