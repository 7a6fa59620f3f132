"""The doctor at minilm's own loop: a Trainable that passes everything on and keeps what it saw.

It works for every backend, for a Trainable answers in NumPy; targets and mask are handed to it, so
nothing needs to be concluded from gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minilm.doctor.batch import batch_digest, is_close, moved_rows, saturation
from minilm.doctor.records import Look, Observation
from minilm.doctor.watching import Watching, shares
from minilm.protocols import Trainable
from minilm.records import Array, Gradients, frozen_array

__all__ = ["Watched", "attach"]


@contextmanager
def attach(
    model: Trainable, *, start: int = 0, limit: int | None = None
) -> Iterator[tuple[Watched, Watching]]:
    """Watch a loop over a Trainable: give fit() the first of the two; at the end the model is probed.

    start: steps that the model has already made; limit: steps after which Enough is raised.
    """
    watching = Watching(limit)
    watched = Watched(model, watching, start)
    try:
        yield watched, watching
    finally:
        watched.end()


class Watched:
    """The Trainable, watched: every other question goes straight to the model."""

    def __init__(self, model: Trainable, watching: Watching, start: int = 0) -> None:
        self.model, self.watching, self.step = model, watching, start + 1
        self.batch: tuple[Array, Array, Array, float | None] | None = None

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
        """Forward and backward, as the model does it."""
        self.batch = (np.asarray(inputs), np.asarray(targets), np.asarray(mask), denominator)
        return self.model.gradients(inputs, targets, mask, dropout, denominator)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """The model's update; the step is then on record."""
        before = {}
        if is_close(self.step):
            before = {name: array.copy() for name, array in self.model.weights().items()}
        factor = self.model.update(gradients, rate, clip)
        raw = norms(gradients.arrays)
        inputs, _, _, _ = self.batch  # type: ignore[misc]
        seen = Observation(
            step=self.step, loss=gradients.loss, vocab_size=self.model.vocab_size, batch=batch_digest(inputs),
            raw=raw, used={name: norm * factor for name, norm in raw.items()}, rate=rate, optimizer="Adam",
            embedding="embedding" if "embedding" in raw else None,
            look=self.look(gradients, before) if before else None,
        )  # fmt: skip
        self.step += 1
        self.watching.add(seen)
        return factor

    def look(self, gradients: Gradients, before: Mapping[str, Array]) -> Look:
        """The close look at the step that was just made."""
        inputs, targets, mask, denominator = self.batch  # type: ignore[misc]
        after = self.model.weights()
        moved, gates = (), {}
        if "embedding" in before:
            moved = moved_rows(inputs, before["embedding"], after["embedding"])
        if "lstm.0.kernel" in before:
            parts = {part: before[f"lstm.0.{part}"] for part in ("kernel", "recurrent", "bias")}
            gates = saturation(inputs, {**parts, "embedding": before["embedding"]})
        return Look(
            frozen_array(inputs), frozen_array(np.where(mask > 0, targets, -1)),
            frozen_array(mask / (denominator or mask.sum()), np.float64),
            frozen_array(gradients.losses, np.float64),
            updates=norms({name: after[name] - array for name, array in before.items()}),
            sizes=norms(before), moved=moved, gates=gates,
        )  # fmt: skip

    def end(self) -> None:
        """Probe the model on the last batch."""
        if self.batch is None:
            return

        def read(ids: Array) -> Array:
            return np.stack([self.model.read(row, rows="all").logits for row in ids])

        self.watching.ask(read, self.batch[0], self.model.vocab_size)


def norms(arrays: Mapping[str, Array]) -> dict[str, float]:
    """Euclidean norms by name, summed in float64."""
    return shares(arrays, [np.sqrt(np.sum(np.square(array, dtype=np.float64))) for array in arrays.values()])
