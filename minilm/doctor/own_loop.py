"""The doctor at minilm's own training loop, in every backend.

A Trainable answers in NumPy and is given targets and mask, so nothing has to be computed from gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilm.doctor.batch import digest_batch, has_details, measure_embedding_changes, measure_saturation
from minilm.doctor.records import Observation, StepDetails
from minilm.doctor.watching import Watching, norms_by_name
from minilm.protocols import Trainable
from minilm.records import Array, Gradients, frozen_array

__all__ = ["WatchedModel", "attach"]


@contextmanager
def attach(
    model: Trainable, *, start: int = 0, limit: int | None = None
) -> Iterator[tuple[WatchedModel, Watching]]:
    """Watch a training loop of minilm while the `with` block runs; at its end the model is probed.

    Args:
        model: The model to train.
        start: Number of steps that the model has already made.
        limit: Number of steps after which Enough is raised; None for no limit.

    Yields:
        The model to hand to `fit` in place of `model`, and the records.
    """
    watching = Watching(limit)
    watched = WatchedModel(model, watching, start)
    try:
        yield watched, watching
    finally:
        watched.end()


@dataclass(frozen=True)
class _Batch:
    """The arguments of the last call of `gradients`, each (B, T), and the divisor of the loss."""

    inputs: Array
    targets: Array
    mask: Array
    denominator: float | None


class WatchedModel:
    """A Trainable that records each step; every other question goes straight to the model."""

    def __init__(self, model: Trainable, watching: Watching, start: int = 0) -> None:
        self.model, self.watching, self.step = model, watching, start + 1
        self.batch: _Batch | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Any = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Run the model's forward and backward pass."""
        self.batch = _Batch(np.asarray(inputs), np.asarray(targets), np.asarray(mask), denominator)
        return self.model.gradients(inputs, targets, mask, dropout, denominator)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """Run the model's update, and record the step."""
        before = {}
        if has_details(self.step):
            before = {name: array.copy() for name, array in self.model.weights().items()}
        factor = self.model.update(gradients, rate, clip)
        raw = _norms(gradients.arrays)
        batch: Any = self.batch
        observation = Observation(
            step=self.step, loss=gradients.loss, vocab_size=self.model.vocab_size,
            batch=digest_batch(batch.inputs), raw=raw,
            used={name: norm * factor for name, norm in raw.items()}, rate=rate, optimizer="Adam",
            embedding="embedding" if "embedding" in raw else None,
            look=self._measure_step(batch, gradients, before) if before else None,
        )  # fmt: skip
        self.step += 1
        self.watching.add(observation)
        return factor

    def _measure_step(self, batch: _Batch, gradients: Gradients, before: Mapping[str, Array]) -> StepDetails:
        """Return the details of the step that was just made, from the weights before it."""
        after = self.model.weights()
        moved, gates = (), {}
        if "embedding" in before:
            moved = measure_embedding_changes(batch.inputs, before["embedding"], after["embedding"])
        if "lstm.0.kernel" in before:
            layer = {part: before[f"lstm.0.{part}"] for part in ("kernel", "recurrent", "bias")}
            gates = measure_saturation(batch.inputs, {**layer, "embedding": before["embedding"]})
        return StepDetails(
            ids=frozen_array(batch.inputs),
            targets=frozen_array(np.where(batch.mask > 0, batch.targets, -1)),
            weights=frozen_array(batch.mask / (batch.denominator or batch.mask.sum()), np.float64),
            losses=frozen_array(gradients.losses, np.float64),
            updates=_norms({name: after[name] - array for name, array in before.items()}),
            sizes=_norms(before),
            moved=moved,
            gates=gates,
        )

    def end(self) -> None:
        """Probe the model on the last batch."""
        if self.batch is None:
            return

        def read(ids: Array) -> Array:
            return np.stack([self.model.read(row, rows="all").logits for row in ids])

        self.watching.probe(read, self.batch.inputs, self.model.vocab_size)


def _norms(arrays: Mapping[str, Array]) -> dict[str, float]:
    """Return Euclidean norms by name, summed in float64."""
    squares = (np.sum(np.square(array, dtype=np.float64)) for array in arrays.values())
    return norms_by_name(arrays, map(np.sqrt, squares))
