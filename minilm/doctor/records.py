"""What the doctor sees of a training loop: one frozen record a step, a close look now and then, a finding.

Nothing here judges, and no framework is known; a record is plain numbers, so a run can be kept as JSON
lines and examined later. B batch, T time, V vocabulary, in every array.
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

__all__ = ["Finding", "Look", "Observation", "Probes", "Record", "load", "save"]

SCHEMA = 1

DIGITS = 5  # significant digits of a number on disk: no check looks closer


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its name, the step (from 1), the number that gave it away, in words the
    number's meaning (`what`), the likely cause and the fix.
    """

    name: str
    step: int
    number: float
    what: str
    cause: str
    fix: str

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Look:
    """A close look at one step; targets and weights are what the gradient at the outputs shows.

    ids, targets (B, T); weights (B, T): each target's share in the loss, 0 where it does not count;
    losses (B, T): nats; kind: what the model gives, "logits", "probabilities" or "log-probabilities";
    twice: a softmax is taken of probabilities; sums: along each axis, how far (exp of) the outputs are from
    summing to 1; slope: how far the gradients of a row are from summing to 0, as a share; updates, sizes:
    Euclidean norms by parameter; moved: (id, how often it stands in ids, largest change in its row); gates:
    share of values at either end of a gate's range, by gate; time_first: the loop has (T, B), turned here.
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

    __repr__ = one_line


@dataclass(frozen=True, eq=False)
class Observation:
    """One training step, from 1.

    loss: as the loop differentiated it; batch: digest of the ids; raw, used, after: gradient norms by
    parameter, as backward left them, as the update met them, and before the next step (None: the same);
    leftover: norm of the last step's gradients that backward added to; training: the model's mode; modal:
    whether its mode changes what it computes; tested_in_training: an evaluation ran in train mode;
    carried: it was handed the state of the batch before; continues: share of its rows that go on where
    the batch before ended, None where unknown; absent: parameters that get no update, and why.
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
    look: Look | None = None

    __repr__ = one_line


@dataclass(frozen=True)
class Probes:
    """What the model answered when it was asked, after a step, each as a share of its largest logit.

    future: how far earlier logits moved when a later id was changed; rows: when another row was changed;
    padding: logits of real tokens when only padding ids were changed; repeat: the same batch read twice;
    chance: the same, where drawing the same random numbers would undo it.
    """

    step: int
    future: float = 0.0
    rows: float = 0.0
    padding: float = 0.0
    repeat: float = 0.0
    chance: float = 0.0


Record = Observation | Probes

ARRAYS = {"ids": np.int64, "targets": np.int64, "weights": np.float64, "losses": np.float64}


def save(records: Iterable[Record], path: str | Path) -> None:
    """Write a run as JSON lines, each {"schema", "observation" | "probes"}; whole or not at all."""
    write_file(Path(path), "".join(map(_line, records)).encode())


def _line(record: Record) -> str:
    kind = "probes" if isinstance(record, Probes) else "observation"
    return json.dumps({"schema": SCHEMA, kind: as_json(record, _rounded)}, allow_nan=False) + "\n"


def load(path: str | Path) -> Iterator[Record]:
    """The records of a run on disk, in order. Raises MinilmError naming the line that cannot be read."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MinilmError(f"{path} cannot be read as a recorded run: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield _record(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise MinilmError(
                f"{path}, line {number} is no record of a run ({type(error).__name__}: {str(error)[:80]}); "
                "record it anew with minilm doctor FILE.py --record"
            ) from None


def _rounded(value: float) -> float | str:
    # JSON has no spelling for nan and infinity, and a broken training is full of them.
    return float(f"{value:.{DIGITS}g}") if isfinite(value) else str(value)


def _record(line: dict[str, Any]) -> Record:
    if line["schema"] != SCHEMA:
        raise ValueError(f"schema {line['schema']!r}")
    if "probes" in line:
        asked: dict[str, Any] = dict(line["probes"])
        _check_step(asked)
        return Probes(asked.pop("step"), **{name: float(value) for name, value in asked.items()})
    held: dict[str, Any] = dict(line["observation"])
    for name in ("raw", "used", "after"):
        held[name] = held[name] and {key: float(value) for key, value in held[name].items()}
    held["loss"], held["leftover"] = float(held["loss"]), float(held["leftover"])
    look = held.pop("look")
    _check_step(held)
    return Observation(**held, look=look and _look(look))


def _check_step(held: Mapping[str, Any]) -> None:
    if not isinstance(held["step"], int) or held["step"] < 1:
        raise ValueError(f"step {held['step']!r}")


def _look(held: dict[str, Any]) -> Look:
    arrays = {name: frozen_array(held[name], kind) for name, kind in ARRAYS.items()}
    if any(array.ndim != 2 or array.shape != arrays["ids"].shape for array in arrays.values()):
        raise ValueError("ids, targets, weights and losses of unequal shape")
    named = ("sums", "updates", "sizes", "gates")
    norms = {name: {key: float(value) for key, value in held[name].items()} for name in named}
    moved = tuple((int(i), int(count), float(most)) for i, count, most in held["moved"])
    fields_of: dict[str, Any] = {**held, **arrays, **norms, "moved": moved, "slope": float(held["slope"])}
    return Look(**fields_of)
