"""A framework with its own defaults, as a subject of the diagnosis; "numpy" is the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

import numpy as np

from minilm.backends import available, create
from minilm.comparison.backends import order_of_loading
from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batch

__all__ = ["CONFIG", "NativeFramework", "create_natives", "draw_batches"]

CONFIG = ModelConfig(vocab_size=40, embedding_size=8, hidden_size=16)

RATE = 1e-2


def draw_batches(config: ModelConfig, steps: int, rows: int = 4, length: int = 12) -> list[Batch]:
    """Draw batches of ids in which low ids are frequent, as frequent words are in a text.

    Args:
        config: gives the vocabulary and the seed.
        steps: how many batches.
        rows: rows of a batch.
        length: tokens of a row.
    """
    dice = generator(config.seed, "native")
    batches = []
    for _ in range(steps):
        ids = (config.vocab_size * dice.random((rows, length + 1)) ** 2).astype(np.int64)
        batches.append(Batch(ids[:, :-1], ids[:, 1:], np.ones((rows, length), np.float32)))
    return batches


class NativeFramework:
    """One framework on some batches; each of its defaults stays as it is unless it is made neutral.

    Args:
        name: the backend.
        config: the sizes of the model, and its seed.
        batches: what it is trained on.
        dtype: "float32" or "float64".
        rate: Adam's learning rate.
    """

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        batches: Sequence[Batch],
        dtype: str = "float32",
        rate: float = RATE,
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise MinilmError(f"dtype must be float32 or float64, got {dtype!r}")
        if name not in available():
            raise MinilmError(f"Native frameworks here are {', '.join(available())}; got {name!r}")
        self.name, self.tolerance = f"native {name}", 1e-5 if dtype == "float32" else 1e-12
        self._batches = [(batch.inputs, batch.targets, batch.mask) for batch in batches]
        self._rate = rate
        self._runs: dict[frozenset[str], tuple[Array, Mapping[str, Array]]] = {}
        self._trainer, self.defaults = _create_trainer(name, config, dtype)

    def run(self, neutral: frozenset[str] = frozenset()) -> tuple[Array, Mapping[str, Array]]:
        """Train once, and keep the result: the diagnosis asks for most runs twice.

        Args:
            neutral: the defaults that are in their neutral form.

        Returns:
            The losses (steps,), and the weights after the training by canonical name.
        """
        own = neutral & frozenset(self.defaults)
        if own not in self._runs:
            self._runs[own] = self._trainer.train(self._batches, self._rate, own)
        return self._runs[own]

    def observe(self, neutral: frozenset[str] = frozenset()) -> dict[str, Array]:
        """Return the losses, which the diagnosis explains.

        Args:
            neutral: the defaults that are in their neutral form.
        """
        return {"losses": self.run(neutral)[0]}


class _Trainer(Protocol):
    """A training of one framework that begins anew at every call."""

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]: ...


class _NumPyTrainer:
    """The NumPy backend: every default is in its neutral form, and nothing is left to make neutral."""

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        self._config, self._dtype = config, dtype

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]:
        model = create("numpy", self._config, self._dtype)
        losses = []
        for batch in batches:
            gradients = model.gradients(*batch)
            model.update(gradients, rate)
            losses.append(gradients.loss)
        return np.array(losses), {name: np.array(array) for name, array in model.weights().items()}


def _create_trainer(name: str, config: ModelConfig, dtype: str) -> tuple[_Trainer, tuple[str, ...]]:
    """Return a framework's trainer and the defaults that it can make neutral."""
    if name == "torch":
        module = import_module("minilm.backends.torch.native")
        return module.NativeTorch(config, dtype), module.DEFAULTS
    if name == "tensorflow":
        module = import_module("minilm.backends.tensorflow.native")
        return module.NativeTensorFlow(config, dtype), module.DEFAULTS
    return _NumPyTrainer(config, dtype), ()


def create_natives(
    names: Sequence[str], steps: int, dtype: str = "float32", config: ModelConfig = CONFIG
) -> tuple[NativeFramework, NativeFramework]:
    """Return two frameworks on the same batches.

    Args:
        names: two backends.
        steps: how many batches.
        dtype: "float32" or "float64".
        config: the sizes of the model, and its seed.
    """
    if len(names) != 2 or len(set(names)) != 2:
        raise MinilmError(f"--native takes two frameworks, as in torch,tensorflow; got {', '.join(names)}")
    batches = draw_batches(config, steps)
    created = {name: NativeFramework(name, config, batches, dtype) for name in order_of_loading(names)}
    return created[names[0]], created[names[1]]
