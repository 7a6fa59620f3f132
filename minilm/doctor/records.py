"""The records of a watched training loop: one per step, the answers to probes, and the findings.

A record holds plain numbers, so a run can be kept as JSON lines and examined later without its framework.
In every array B is the batch, T is time and V is the vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from minilm.atomic import write_file
from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import Array, frozen_array
from minilm.trace.json import as_json

__all__ = ["Ending", "Finding", "Observation", "Probes", "Record", "StepDetails", "load_run", "save_run"]

SCHEMA = 1

# Significant digits of a number on disk; no check needs more.
DIGITS = 5


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training loop.

    Attributes:
        name: The check that found it.
        step: The training step, from 1.
        number: The number that proves it.
        what: What the number measures.
        cause: The likely cause.
        fix: How to fix it.
    """

    name: str
    step: int
    number: float
    what: str
    cause: str
    fix: str

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class StepDetails:
    """The close measurements of one training step. Only some steps have them, because they take time.

    Targets, weights and losses are computed from the gradient at the model's outputs (see batch.py).

    Attributes:
        ids: (B, T), what the model read.
        targets: (B, T), what it should predict; -1 where the position does not count.
        weights: (B, T), the share of each target in the loss; 0 where it does not count.
        losses: (B, T), nats.
        kind: What the model answers: "logits", "probabilities" or "log-probabilities".
        twice: True where the loss takes a softmax of probabilities.
        sums: For the axes "vocabulary", "time" and "batch": the largest difference between 1 and the sum of
            the outputs (or of their exponentials) along that axis.
        slope: How far the gradients at the outputs are from a sum of 0 over V, as a share of their size.
        updates: By parameter, the Euclidean norm of its update.
        sizes: By parameter, its Euclidean norm before the update.
        moved: For each id of the batch: (id, how often it occurs, largest change in its embedding).
        gates: By LSTM gate, the share of its values at an end of their range.
        time_first: True where the loop's arrays are (T, B); they are stored as (B, T).
        takes: What the loss function expects: "logits", "log-probabilities", "probabilities" or "" (unknown).
        gets: What the loss function was given, in the same words.
        reshaped: How far the gradients are from a sum of 0 over V if the outputs are reshaped to (B, V, T).
        explained: True where the targets are certain: the loss is the cross entropy of the outputs, or the
            loss function was given them.
    """

    ids: Array
    targets: Array
    weights: Array
    losses: Array
    kind: str = "logits"
    twice: bool = False
    sums: Mapping[str, float] = field(default_factory=dict)
    slope: float = 0.0
    updates: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    moved: tuple[tuple[int, int, float], ...] = ()
    gates: Mapping[str, float] = field(default_factory=dict)
    time_first: bool = False
    takes: str = ""
    gets: str = ""
    reshaped: float = 1.0
    explained: bool = True

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Observation:
    """One training step of a watched loop.

    Attributes:
        step: The number of the step, from 1.
        loss: The loss that the loop differentiated.
        vocab_size: V.
        batch: A digest of the ids, to tell batches from one another.
        raw: By parameter, the gradient's norm as backward left it.
        used: The same norms as the update used them, after a clip.
        after: The same norms before the next step; None where they equal `used`.
        leftover: The norm of the last step's gradients that backward added to; 0 where they were zeroed.
        training: True in train mode.
        modal: True where the model computes different things in its two modes (it has dropout, for example).
        tested_in_training: True where the model was read without gradients in train mode since the last step.
        carried: True where the model got a state that is not zero.
        continues: Share of the rows that go on where the last batch ended; None where that is unknown.
        rate: The learning rate; None where it is unknown.
        optimizer: The name of the optimizer's class.
        embedding: The name of the embedding's parameter; None where there is none.
        absent: Parameters that cannot get an update, and the reason for each.
        look: The step's details, on the steps that have them.
        frozen: Parameters that the user has frozen (requires_grad or trainable is False).
        passes: Number of backward passes before the update; more than 1 where gradients are accumulated.
        sliced: True where the embedding's gradient reached the optimizer in slices; None if unknown.
        clipped_early: True where the gradients were clipped only before backward.
        unseen: Why the model's outputs could not be read; "" where they were, or were not wanted.
    """

    step: int
    loss: float
    vocab_size: int
    batch: str
    raw: Mapping[str, float]
    used: Mapping[str, float]
    after: Mapping[str, float] | None = None
    leftover: float = 0.0
    training: bool = True
    modal: bool = False
    tested_in_training: bool = False
    carried: bool = False
    continues: float | None = None
    rate: float | None = None
    optimizer: str = ""
    embedding: str | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    look: StepDetails | None = None
    frozen: tuple[str, ...] = ()
    passes: int = 1
    sliced: bool | None = None
    clipped_early: bool = False
    unseen: str = ""

    __repr__ = one_line


@dataclass(frozen=True)
class Probes:
    """The largest change of a model's logits after each of five changes, as a share of its largest logit.

    Attributes:
        step: The training step after which the model was probed.
        future: The change of earlier logits where later ids were replaced.
        rows: The change of a row's logits where all other rows were replaced.
        padding: The change of real tokens' logits where the padding ids were replaced.
        repeat: The change where the same batch was read twice, with the same random numbers.
        chance: The change where the same batch was read twice, with new random numbers.
        unseen: Why the model could not be probed; "" where it was.
        blind_to_future: True where later ids could not be tested, because the net answers only once per row.
    """

    step: int
    future: float = 0.0
    rows: float = 0.0
    padding: float = 0.0
    repeat: float = 0.0
    chance: float = 0.0
    unseen: str = ""
    blind_to_future: bool = False


@dataclass(frozen=True)
class Ending:
    """How a watched run ended, where it did not end by itself.

    Attributes:
        step: The last training step that was seen; 1 where none was.
        error: The error of the training file, or "" where its time was up.
        seconds: The seconds after which it was stopped; 0 where it failed.
    """

    step: int
    error: str = ""
    seconds: int = 0


Record = Observation | Probes | Ending

TEXTS = ("unseen", "blind_to_future")

# The arrays of StepDetails and their types.
ARRAYS = {"ids": np.int64, "targets": np.int64, "weights": np.float64, "losses": np.float64}


def save_run(records: Iterable[Record], path: str | Path) -> None:
    """Write a run as JSON lines, whole or not at all.

    Each line is {"schema": 1, "observation" or "probes": {...}}.
    """
    write_file(Path(path), "".join(map(_to_line, records)).encode())


def _to_line(record: Record) -> str:
    kind = {Probes: "probes", Ending: "ending"}.get(type(record), "observation")
    return json.dumps({"schema": SCHEMA, kind: as_json(record, _spell_float)}, allow_nan=False) + "\n"


def load_run(path: str | Path) -> Iterator[Record]:
    """Yield the records of a run that `save_run` has written, in order.

    Raises:
        MinilmError: The file, or one of its lines, cannot be read as a record.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MinilmError(f"{path} cannot be read as a recorded run: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield _from_json(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise MinilmError(
                f"{path}, line {number} is no record of a run ({type(error).__name__}: {str(error)[:80]}); "
                "record it again with minilm doctor FILE.py --record"
            ) from None


def _spell_float(value: float) -> float | str:
    """Return a number with few digits; NaN and infinity as text, because JSON has neither."""
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else str(value)


def _from_json(line: dict[str, Any]) -> Record:
    if line["schema"] != SCHEMA:
        raise ValueError(f"schema {line['schema']!r}")
    if "probes" in line:
        values: dict[str, Any] = dict(line["probes"])
        _check_step(values)
        texts = {name: values.pop(name) for name in TEXTS if name in values}
        numbers = {name: float(value) for name, value in values.items() if name != "step"}
        return Probes(values["step"], **numbers, **texts)
    if "ending" in line:
        _check_step(line["ending"])
        return Ending(line["ending"]["step"], str(line["ending"]["error"]), int(line["ending"]["seconds"]))
    values = dict(line["observation"])
    values["frozen"] = tuple(values.get("frozen", ()))
    for name in ("raw", "used", "after"):
        values[name] = values[name] and {key: float(value) for key, value in values[name].items()}
    values["loss"], values["leftover"] = float(values["loss"]), float(values["leftover"])
    details = values.pop("look")
    _check_step(values)
    return Observation(**values, look=details and _details_from_json(details))


def _check_step(values: Mapping[str, Any]) -> None:
    if not isinstance(values["step"], int) or values["step"] < 1:
        raise ValueError(f"step {values['step']!r}")


def _details_from_json(values: dict[str, Any]) -> StepDetails:
    arrays = {name: frozen_array(values[name], kind) for name, kind in ARRAYS.items()}
    if any(array.ndim != 2 or array.shape != arrays["ids"].shape for array in arrays.values()):
        raise ValueError("ids, targets, weights and losses of unequal shape")
    mappings = {
        name: {key: float(value) for key, value in values[name].items()}
        for name in ("sums", "updates", "sizes", "gates")
    }
    moved = tuple((int(i), int(count), float(most)) for i, count, most in values["moved"])
    fields_of: dict[str, Any] = {
        **values, **arrays, **mappings, "moved": moved, "slope": float(values["slope"]),
        "reshaped": float(values.get("reshaped", 1)),
    }  # fmt: skip
    return StepDetails(**fields_of)
