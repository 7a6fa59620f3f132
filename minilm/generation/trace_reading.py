"""JSON line to Step: a trace read back as the records it was written from."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilm.errors import MinilmError
from minilm.generation.trace import SCHEMA
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

__all__ = ["Trace", "read_trace", "step_of"]


@dataclass(frozen=True)
class Trace:
    """A trace as it was read: what was asked, the steps, and the last line (None where it is missing)."""

    start: Mapping[str, Any]
    steps: tuple[Step, ...]
    end: Mapping[str, Any] | None


def read_trace(path: str | Path) -> Trace:
    """The trace in a file. Raises MinilmError naming the line that is not one of a trace.

    A last line cut short by a crash is left out.
    """
    start: Mapping[str, Any] = {}
    end: Mapping[str, Any] | None = None
    steps: list[Step] = []
    for number, line in _lines(path):
        if "start" in line:
            start = line["start"]
        elif "end" in line:
            end = line["end"]
        else:
            try:
                steps.append(step_of(line))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise MinilmError(f"Trace {path}, line {number} is no step: {error!r}") from error
    return Trace(start, tuple(steps), end)


def _lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise MinilmError(f"Trace {path} cannot be read: {error.strerror}") from error
    for number, row in enumerate(io.BytesIO(raw), 1):
        try:
            line = json.loads(row)
        except (ValueError, RecursionError) as error:
            if not row.endswith(b"\n"):
                return
            raise MinilmError(f"Trace {path}, line {number}: not JSON ({error})") from error
        if not isinstance(line, dict) or line.get("schema") != SCHEMA:
            found = line.get("schema") if isinstance(line, dict) else type(line).__name__
            raise MinilmError(f"Trace {path}, line {number}: schema {SCHEMA} expected, got {found}")
        yield number, line


def step_of(line: Mapping[str, Any]) -> Step:
    """The Step of a JSON value; what as_json made, made a record again."""
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
    changed = {
        "candidates": tuple(_candidate(c) for c in line["candidates"]),
        "stages": tuple(_effect(e) for e in line["stages"]),
        "raw": Distribution(**line["raw"]),
        "final": Distribution(**line["final"]),
        "interval": None if interval is None else tuple(interval),
        "chosen": _candidate(line["chosen"]),
    }
    return Decision(**{**line, **changed})


def _effect(line: Mapping[str, Any]) -> StageEffect:
    return StageEffect(**{**line, "watched": {int(i): change for i, change in line["watched"].items()}})


def _candidate(line: Mapping[str, Any]) -> Candidate:
    removed = line["removed_by"]
    logit, logp = (-np.inf if line[k] is None else line[k] for k in ("logit", "logp_model"))
    return Candidate(
        **{
            **line,
            "bytes": bytes.fromhex(line["bytes"]),
            "logit": logit,
            "logp_model": logp,
            "removed_by": None if removed is None else Removal(**removed),
        }
    )
