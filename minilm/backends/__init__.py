"""Models by name: create, load and wrap; a framework is imported only when its name is asked for.

torch takes 0.9 s to import and TensorFlow 2 s, and either may be absent; so this file knows them by
name alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.protocols import LanguageModel, TextCodec, Trainable
from minilm.records import Array, ModelConfig

__all__ = ["BACKENDS", "available", "create", "load", "wrap"]

BACKENDS = {  # name -> (module, what must be importable, the extra that brings it)
    "numpy": ("minilm.backends.numpy.lstm", "numpy", ""),
    "torch": ("minilm.backends.torch.lstm", "torch", "torch"),
    "tensorflow": ("minilm.backends.tensorflow.lstm", "tensorflow", "tensorflow"),
}


def available() -> list[str]:
    """The backends whose framework is installed here, NumPy first; none is imported."""
    return [name for name, (_, package, _) in BACKENDS.items() if importlib.util.find_spec(package)]


def create(
    name: str,
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> Trainable:
    """An LSTM language model in a framework: "numpy", "torch" or "tensorflow".

    Its weights are the given canonical arrays, or the seeded initial ones of the config. Raises
    MinilmError for an unknown backend, or one whose framework is not installed.
    """
    if name not in BACKENDS:
        raise MinilmError(f"Backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    module, package, extra = BACKENDS[name]
    if not importlib.util.find_spec(package):
        raise MinilmError(
            f'Backend {name} needs {package}, which is not installed; run: pip install "minilm[{extra}]"'
        )
    return importlib.import_module(module).create(config, dtype=dtype, device=device, weights=weights)


def load(
    folder: str | Path, backend: str | None = None, dtype: str | None = None, device: str = "cpu"
) -> Trainable:
    """The model of a folder, in any backend; NumPy, and the dtype that was saved, unless given.

    Raises MinilmError, one line, for a folder that is missing, foreign or damaged.
    """
    from minilm.storage.model_folder import read_model

    found = read_model(folder)
    kind = dtype or found.arrays["embedding"].dtype.name
    return create(backend or "numpy", found.config, kind, device, found.arrays)


def wrap(net: Any, codec: TextCodec | None = None) -> LanguageModel:
    """A user's own torch module or Keras model as a LanguageModel.

    Given ids (1, T), and the state it returned before where it returns one, the net must answer with
    logits (1, T, V), (logits, state) or (logits, state, embeddings); a net without a state is given
    the whole context anew. codec, where given, must have as many ids as there are logits.
    """
    if not callable(net):
        raise MinilmError(f"wrap() takes a torch module or a Keras model, got {type(net).__name__}")
    families = {kind.__module__.split(".")[0] for kind in inspect.getmro(type(net))}
    for family, backend in (("torch", "torch"), ("keras", "tensorflow")):
        if family in families:
            return importlib.import_module(f"minilm.backends.{backend}.wrap").wrap(net, codec)
    raise MinilmError(f"wrap() takes a torch module or a Keras model, got {type(net).__name__}")
