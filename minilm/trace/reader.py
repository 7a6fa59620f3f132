"""Reads a trace back: from JSON lines to the records that they were written from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.records import (
    Candidate,
    Decision,
    Distribution,
    Embedding,
    Removal,
    StageEffect,
    Step,
    frozen_array,
)
from minilm.trace.validate import parse_line

__all__ = ["Trace", "read_rows", "read_trace", "step_from_json"]


@dataclass(frozen=True)
class Trace:
    """A trace as it was read.

    Attributes:
        start: The first line: what was asked of the run. Empty where the line is missing.
        steps: A record per generated token.
        end: The last line: how the run ended. None where it is missing.
        vocabulary: The bytes of every token, and the names of tokens without bytes; None where the trace was
            recorded without logits.
    """

    start: Mapping[str, Any]
    steps: tuple[Step, ...]
    end: Mapping[str, Any] | None
    vocabulary: Mapping[str, Any] | None = None

    __repr__ = one_line


def read_trace(path: str | Path) -> Trace:
    """Return the trace in a file. A last line that a crash cut short is left out.

    Args:
        path: The file.

    Raises:
        MinilmError: The file cannot be read, has no whole line, or has a line that is not one of a trace;
            the message names the line.
    """
    parts: dict[str, Any] = {"start": {}, "vocabulary": None, "end": None}
    steps: list[Step] = []
    for number, row in read_rows(path):
        if not row.endswith(b"\n") and not _is_json(row):
            break
        line = parse_line(row, f"Trace {path}, line {number}")
        kind = next((kind for kind in parts if kind in line), None)
        if kind is None:
            steps.append(step_from_json(line))
        else:
            parts[kind] = line[kind]
    if not steps and not any(parts.values()):
        raise MinilmError(
            f"Trace {path} holds no whole line of a run, so there is nothing to read; record it again"
        )
    return Trace(parts["start"], tuple(steps), parts["end"], parts["vocabulary"])


def read_rows(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1. Raises MinilmError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise MinilmError(f"Trace {path} cannot be read: {error.strerror}") from error


def _is_json(row: bytes) -> bool:
    try:
        json.loads(row)
    except (ValueError, RecursionError):
        return False
    return True


def step_from_json(line: Mapping[str, Any]) -> Step:
    """Return the Step in the JSON value of a line. It undoes as_json."""
    embedding, decision = line["embedding"], line["decision"]
    return Step(
        line["index"],
        line["position"],
        line["id"],
        line["text"],
        bytes.fromhex(line["bytes"]),
        Embedding(
            tuple(embedding["shape"]),
            embedding["norm"],
            frozen_array(embedding["vector"], np.float32),
            embedding["cosine"],
        ),
        _decision(decision),
        line["new_text"],
        line["offset"],
        line["finish"],
        line["branch"],
    )


def _decision(line: Mapping[str, Any]) -> Decision:
    interval = line["interval"]
    records: dict[str, Any] = {
        "candidates": tuple(_candidate(c) for c in line["candidates"]),
        "stages": tuple(_effect(e) for e in line["stages"]),
        "raw": Distribution(**line["raw"]),
        "final": Distribution(**line["final"]),
        "interval": None if interval is None else tuple(interval),
        "chosen": _candidate(line["chosen"]),
    }
    return Decision(**{**line, **records})


def _effect(line: Mapping[str, Any]) -> StageEffect:
    watched: Any = {int(i): change for i, change in line["watched"].items()}
    return StageEffect(**{**line, "watched": watched})


def _candidate(line: Mapping[str, Any]) -> Candidate:
    removed = line["removed_by"]
    logit, logp = (-np.inf if line[k] is None else line[k] for k in ("logit", "logp_model"))
    changed: dict[str, Any] = {
        "bytes": bytes.fromhex(line["bytes"]),
        "logit": logit,
        "logp_model": logp,
        "removed_by": None if removed is None else Removal(**removed),
    }
    return Candidate(**{**line, **changed})
