"""A framework with its own defaults as a subject of the parity doctor; "numpy" is the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import numpy as np

from minilm.backends import available, create
from minilm.comparison.backends import order_of_loading
from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batch

__all__ = ["CONFIG", "Native", "drawn_batches", "natives"]

CONFIG = ModelConfig(vocab_size=40, embedding_size=8, hidden_size=16)

RATE = 1e-2


def drawn_batches(config: ModelConfig, steps: int, rows: int = 4, length: int = 12) -> list[Batch]:
    """Batches of made-up ids, low ones often, as words of a text are: the same for every subject."""
    dice = generator(config.seed, "native")
    found = []
    for _ in range(steps):
        ids = (config.vocab_size * dice.random((rows, length + 1)) ** 2).astype(np.int64)
        found.append(Batch(ids[:, :-1], ids[:, 1:], np.ones((rows, length), np.float32)))
    return found


class Native:
    """One framework on some batches; what it does by default stays so unless it is made neutral."""

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
        self._given = [(batch.inputs, batch.targets, batch.mask) for batch in batches]
        self._config, self._dtype, self._rate = config, dtype, rate
        self._runs: dict[frozenset[str], tuple[Array, Mapping[str, Array]]] = {}
        self._trainer, self.rows = _trainer(name, config, dtype)

    def run(self, neutral: frozenset[str] = frozenset()) -> tuple[Array, Mapping[str, Array]]:
        """Losses (steps,) and weights after them, by canonical name; kept, as runs are asked for twice."""
        own = neutral & frozenset(self.rows)
        if own not in self._runs:
            self._runs[own] = self._trainer.train(self._given, self._rate, own)
        return self._runs[own]

    def observe(self, neutral: frozenset[str] = frozenset()) -> dict[str, Array]:
        """The losses: what the doctor explains."""
        return {"losses": self.run(neutral)[0]}


class _Ours:
    """The NumPy backend: every row neutral, by hand."""

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


def _trainer(name: str, config: ModelConfig, dtype: str) -> tuple[_Ours, tuple[str, ...]]:
    if name == "torch":
        module = import_module("minilm.backends.torch.native")
        return module.NativeTorch(config, dtype), module.ROWS
    if name == "tensorflow":
        module = import_module("minilm.backends.tensorflow.native")
        return module.NativeTensorFlow(config, dtype), module.ROWS
    return _Ours(config, dtype), ()


def natives(
    names: Sequence[str], steps: int, dtype: str = "float32", config: ModelConfig = CONFIG
) -> tuple[Native, Native]:
    """Two frameworks on the same batches, torch loaded before TensorFlow; MinilmError for other than two."""
    if len(names) != 2 or len(set(names)) != 2:
        raise MinilmError(f"--native takes two frameworks, as in torch,tensorflow; got {', '.join(names)}")
    batches = drawn_batches(config, steps)
    made = {name: Native(name, config, batches, dtype) for name in order_of_loading(names)}
    return made[names[0]], made[names[1]]
