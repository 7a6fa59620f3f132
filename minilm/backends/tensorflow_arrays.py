"""NumPy arrays as TensorFlow's tensors and back: what a student's TensorFlow file is handed."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf  # without Keras, whose import takes another second

from minilm.records import Array

__all__ = ["array", "tensor"]


def tensor(values: Array) -> Any:
    """A float32 tensor."""
    return tf.constant(np.asarray(values, np.float32))


def array(values: Any) -> Array:
    """A float64 array of a tensor, or of what NumPy takes for an array."""
    return np.asarray(values, np.float64)
