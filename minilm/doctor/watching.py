"""A run while it is watched: its records so far, what is wrong with them, and when to stop.

The frameworks' files put records in; nothing here knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minilm.doctor.checks.examine import examine
from minilm.doctor.probes import Read, probe
from minilm.doctor.records import Finding, Observation, Record, save
from minilm.doctor.run import Run
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["Enough", "Watching", "axes_of", "shares"]


class Enough(BaseException):  # no `except Exception` of a student's loop shall catch it
    """As many steps as were asked for have been seen."""


class Watching:
    """The records of a watched run; limit: steps after which Enough is raised, None for no end."""

    def __init__(self, limit: int | None = None) -> None:
        self.records: list[Record] = []
        self.limit = limit

    @property
    def steps(self) -> int:
        """Training steps seen so far."""
        return sum(isinstance(record, Observation) for record in self.records)

    def add(self, observation: Observation) -> None:
        """Keep one more step. Raises Enough where that was the last one asked for."""
        self.records.append(observation)
        if self.limit is not None and len(self.records) >= self.limit:
            raise Enough

    def ask(self, read: Read, ids: Array, vocab_size: int, reseed: Callable[[], None] = lambda: None) -> None:
        """Put the probes to the model as it is now; a model that cannot answer is not asked."""
        run = Run.of(self.records)
        if any(look.time_first for _, look in run.looks):
            straight = read
            read, ids = lambda rows: straight(rows.T).swapaxes(0, 1), ids.T
        padded = run.padded(ids)
        step = max((record.step for record in self.records), default=1)
        try:
            found = probe(read, ids, vocab_size, step=step, padded=padded, reseed=reseed)
        except Exception:  # a student's forward may fail in any way on ids that it did not choose
            return
        self.records.append(found)

    def findings(self) -> list[Finding]:
        """What is wrong, the likeliest cause first. Raises MinilmError where no training step was seen."""
        if not self.steps:
            raise MinilmError(
                "No training step was seen; attach the doctor before the loop runs (and before tf.function "
                "traces it), to a model that is called with ids (B, T) and answers with logits (B, T, V)"
            )
        return list(examine(self.records))

    def save(self, path: str | Path) -> None:
        """Write the records as JSON lines, for minilm doctor --run."""
        save(self.records, path)


def axes_of(ids: Array, outputs: Array, vocab_size: int) -> Array | None:
    """A model's outputs as (B, T, V), or None where they are no logits for each id.

    Known are (B, T, V), (B, V, T) as cross entropy of torch wants them, and (B x T, V).
    """
    shape = ids.shape
    if outputs.shape == (*shape, vocab_size):
        return outputs
    if outputs.shape == (shape[0], vocab_size, shape[1]):
        return np.swapaxes(outputs, 1, 2)
    return outputs.reshape(*shape, vocab_size) if outputs.shape == (ids.size, vocab_size) else None


def shares(names: Iterable[str], norms: Iterable[Any]) -> dict[str, float]:
    """Norms by name, as Python's numbers."""
    return {name: float(norm) for name, norm in zip(names, norms, strict=True)}
