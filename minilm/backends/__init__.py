"""Create, load and wrap models by the name of a backend. A framework is imported only when it is asked for.

PyTorch takes 0.9 s to import and TensorFlow 2 s, and either may be absent. So this file knows them by name
alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError, require_packages
from minilm.protocols import LanguageModel, TextCodec, Trainable
from minilm.records import Array, ModelConfig

__all__ = ["BACKENDS", "available", "create", "load", "wrap"]

BACKENDS = {
    "numpy": ("minilm.backends.numpy.lstm", "numpy", ""),
    "torch": ("minilm.backends.torch.lstm", "torch", "torch"),
    "tensorflow": ("minilm.backends.tensorflow.lstm", "tensorflow", "tensorflow"),
}
"""Name of a backend -> its module, the package it needs, and the extra of minilm that installs it."""


def available() -> list[str]:
    """Return the backends whose framework is installed here, NumPy first. None is imported."""
    return [name for name, (_, package, _) in BACKENDS.items() if importlib.util.find_spec(package)]


def create(
    name: str,
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> Trainable:
    """Create an LSTM language model in a framework.

    Args:
        name: "numpy", "torch" or "tensorflow".
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
        device: a device of the framework, such as "cpu" or "cuda".
        weights: canonical arrays (see weights.py); None draws the first weights from the seed.

    Raises:
        MinilmError: the backend is unknown, its framework is not installed, or the model cannot be made.
    """
    if name not in BACKENDS:
        raise MinilmError(f"Backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    module, package, extra = BACKENDS[name]
    require_packages(f"Backend {name}", package, extra=extra)
    return importlib.import_module(module).create(config, dtype=dtype, device=device, weights=weights)


def load(
    folder: str | Path, backend: str | None = None, dtype: str | None = None, device: str = "cpu"
) -> Trainable:
    """Load the model of a folder. It opens in any backend, whichever saved it.

    Args:
        folder: a folder that minilm has saved a model in.
        backend: "numpy", "torch" or "tensorflow"; None stands for "numpy".
        dtype: "float32" or "float64"; None keeps the dtype that was saved.
        device: a device of the framework.

    Raises:
        MinilmError: the folder is missing, holds no model of minilm, or is damaged.
    """
    from minilm.storage.model_folder import read_model

    found = read_model(folder)
    kind = dtype or found.arrays["embedding"].dtype.name
    return create(backend or "numpy", found.config, kind, device, found.arrays)


def wrap(net: Any, codec: TextCodec | None = None) -> LanguageModel:
    """Return a user's own torch module or Keras model as a LanguageModel.

    The net is called with ids (1, T), and with the state that it returned before, where it returns one. It
    must answer with logits (1, T, V), (logits, state) or (logits, state, embeddings (1, T, E)). A net without
    a state reads the whole context again at every step.

    Args:
        net: a torch module or a Keras model.
        codec: its tokenizer, which must have as many ids as the net has logits; None skips this check.

    Raises:
        MinilmError: the net is neither, or does not answer so.
    """
    if not callable(net):
        raise MinilmError(f"wrap() takes a torch module or a Keras model, got {type(net).__name__}")
    families = {kind.__module__.split(".")[0] for kind in inspect.getmro(type(net))}
    for family, backend in (("torch", "torch"), ("keras", "tensorflow")):
        if family in families:
            return importlib.import_module(f"minilm.backends.{backend}.wrap").wrap(net, codec)
    raise MinilmError(f"wrap() takes a torch module or a Keras model, got {type(net).__name__}")
