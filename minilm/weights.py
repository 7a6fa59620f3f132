"""Canonical weights: names, shapes, the order of the gates i, f, g, o, and the initial values.

Every backend gives and takes its weights under these names, so that one file opens in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig, frozen_array

__all__ = ["GATES", "LazyArrays", "check_weights", "initial_weights", "weight_shapes"]

GATES = ("i", "f", "g", "o")
"""Input, forget, candidate, output: the order of the four blocks of 4H."""


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every array, in canonical order.

    >>> weight_shapes(ModelConfig(10, 4, 3))["lstm.0.kernel"]
    (4, 12)
    """
    v, e, h = config.vocab_size, config.embedding_size, config.hidden_size
    result: dict[str, tuple[int, ...]] = {"embedding": (v, e)}
    for layer in range(config.layers):
        result[f"lstm.{layer}.kernel"] = (e if layer == 0 else h, 4 * h)
        result[f"lstm.{layer}.recurrent"] = (h, 4 * h)
        result[f"lstm.{layer}.bias"] = (4 * h,)
    return result | {"head.kernel": (h, v), "head.bias": (v,)}


def initial_weights(config: ModelConfig, dtype: str = "float32") -> dict[str, Array]:
    """Return the initial weights, a function of config.seed alone.

    The embedding is drawn from N(0, 1), kernels from U(-1/√H, 1/√H). Biases are 0, those of the forget gate 1
    (Jozefowicz et al., 2015). The numbers are drawn in float64 and then rounded, so that float32 and float64
    models start with the same weights.
    """
    bound = 1 / np.sqrt(config.hidden_size)
    arrays = {}
    for number, (name, shape) in enumerate(weight_shapes(config).items()):
        rng = generator(config.seed, "weights", number)
        if name == "embedding":
            values = rng.standard_normal(shape)
        elif name.endswith("bias"):
            values = np.zeros(shape)
            if name.startswith("lstm"):
                values[config.hidden_size : 2 * config.hidden_size] = 1
        else:
            values = rng.uniform(-bound, bound, shape)
        arrays[name] = values.astype(dtype)
    return arrays


def check_weights(config: ModelConfig, arrays: Mapping[str, Any]) -> None:
    """Raise MinilmError unless arrays hold every weight of the config, in its shape, and finite."""
    for name, shape in weight_shapes(config).items():
        if name not in arrays:
            raise MinilmError(f"Weight {name} is missing; got {', '.join(sorted(arrays)[:8]) or 'none'}")
        got = np.shape(arrays[name])
        if got != shape:
            raise MinilmError(f"Weight {name} must have shape {shape}, got {got}; is it another model's?")
        if not np.all(np.isfinite(arrays[name])):
            raise MinilmError(
                f"Weight {name} holds a number that is not finite: a damaged file, or a training that has "
                "diverged; take an earlier one"
            )


class LazyArrays(Mapping[str, Array]):
    """Read-only arrays by name, each made when it is looked at, so that unwatched training pays nothing.

    >>> LazyArrays({"a": [1, 2]}, lambda name, value: np.array(value) * 2)["a"].tolist()
    [2, 4]

    Args:
        native: name -> a framework's own value, such as a tensor.
        view: makes the NumPy array from a name and its value.
    """

    def __init__(self, native: Mapping[str, Any], view: Callable[[str, Any], Array]) -> None:
        self._native, self._view = native, view

    def __getitem__(self, name: str) -> Array:
        return frozen_array(self._view(name, self._native[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._native)

    def __len__(self) -> int:
        return len(self._native)
