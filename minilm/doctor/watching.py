"""A run while it is watched: its records so far, the findings, and when to stop.

The frameworks' files add the records; this file knows no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from minilm.doctor.checks import examine
from minilm.doctor.probes import ROUNDING, ReadLogits, probe
from minilm.doctor.records import Ending, Finding, Observation, Probes, Record, save_run
from minilm.doctor.run import WatchedRun
from minilm.errors import MinilmError
from minilm.records import Array

__all__ = ["Enough", "Watching", "norms_by_name", "order_axes"]


class Enough(BaseException):
    """Raised inside a watched loop when the wanted number of steps has been seen.

    It is no Exception, so that an `except Exception` in a student's loop does not catch it.
    """


class Watching:
    """The records of a run that is being watched.

    Attributes:
        records: The records so far, in order.
        limit: Number of steps after which Enough is raised; None for no limit.
        failure: The first error of the doctor itself; "" where there was none.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.records: list[Record] = []
        self.limit = limit
        self.failure = ""

    def guard(self, hook: Callable[..., Any], *args: Any) -> Any:
        """Call a hook of the doctor; its errors never reach the loop.

        An error is kept in `failure`: then something could not be looked at, and the loop is not to blame.
        """
        try:
            return hook(*args)
        except Exception as error:
            first_line = str(error).partition("\n")[0]
            self.failure = self.failure or f"the doctor itself failed ({type(error).__name__}: {first_line})"
            return None

    @property
    def steps(self) -> int:
        """The number of training steps seen so far."""
        return sum(isinstance(record, Observation) for record in self.records)

    def add(self, observation: Observation) -> None:
        """Keep one more step.

        Raises:
            Enough: It was the last step that is wanted.
        """
        self.records.append(observation)
        if self.limit is not None and self.steps >= self.limit:
            raise Enough

    def probe(
        self,
        read: ReadLogits,
        ids: Array,
        vocab_size: int,
        reseed: Callable[[], None] = lambda: None,
        rounding: float = ROUNDING,
    ) -> None:
        """Probe the model as it is now, and keep its answers, or why it could not answer.

        Args:
            read: The model, in evaluation mode.
            ids: The last batch, (B, T) or (T, B) as the loop has it.
            vocab_size: V.
            reseed: Resets the framework's random numbers.
            rounding: The largest change that is still rounding, as a share of the largest logit.
        """
        run = WatchedRun.of(self.records)
        if any(details.time_first for _, details in run.detailed_steps):
            read, ids = _swap_time_and_batch(read), ids.T
        step = max((record.step for record in self.records), default=1)
        padded = run.is_padding(ids)
        try:
            answers = probe(read, ids, vocab_size, step=step, padded=padded, reseed=reseed, rounding=rounding)
        except Exception as error:
            # A student's forward pass may fail in any way on ids that it did not choose.
            first_line = str(error).partition("\n")[0][:80]
            self.cannot_probe(f"the net failed on other ids ({type(error).__name__}: {first_line})")
            return
        self.records.append(answers)

    def cannot_probe(self, reason: str) -> None:
        """Keep why the model could not be probed."""
        step = max((record.step for record in self.records), default=1)
        self.records.append(Probes(step, unseen=reason))

    def findings(self) -> list[Finding]:
        """Return what is wrong with the run, the likeliest cause first.

        Raises:
            MinilmError: No training step was seen.
        """
        failed = any(isinstance(record, Ending) for record in self.records)
        if not self.steps and not failed:
            raise MinilmError(
                "No training step was seen; attach the doctor before the loop runs (and before tf.function "
                "traces it), to a model that is called with ids (B, T) and answers with logits (B, T, V)"
            )
        return list(examine(self.records))

    def save(self, path: str | Path) -> None:
        """Write the records as JSON lines, for `minilm doctor --run`."""
        save_run(self.records, path)


def _swap_time_and_batch(read: ReadLogits) -> ReadLogits:
    return lambda ids: read(np.ascontiguousarray(ids.T)).swapaxes(0, 1)


def order_axes(ids: Array, outputs: Array, vocab_size: int) -> Array | None:
    """Return a model's outputs as (B, T, V), or as (B, 1, V) where it answers once per row.

    None means that they are no vectors of logits.

    Args:
        ids: (B, T).
        outputs: (B, T, V), (B, V, T) as torch's cross_entropy wants them, (B * T, V) or (B, V).
        vocab_size: V.
    """
    shape = ids.shape
    if outputs.shape == (*shape, vocab_size):
        return outputs
    if outputs.shape == (shape[0], vocab_size, shape[1]):
        return np.swapaxes(outputs, 1, 2)
    if outputs.shape == (ids.size, vocab_size):
        return outputs.reshape(*shape, vocab_size)
    # The net answers once per row.
    return outputs[:, None, :] if outputs.shape == (shape[0], vocab_size) else None


def norms_by_name(names: Iterable[str], norms: Iterable[Any]) -> dict[str, float]:
    """Return norms by name, as floats of Python."""
    return {name: float(norm) for name, norm in zip(names, norms, strict=True)}
