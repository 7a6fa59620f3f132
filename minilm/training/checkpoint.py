"""A training run on disk: checkpoints that are whole or absent, from which it goes on bit for bit.

A checkpoint is a model folder with the moments of Adam beside it and the settings of the run in its
config.json. The order of the data and the dropout masks follow from seed and step: they need no saving.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig
from minilm.storage.arrays import arrays_from_bytes, arrays_to_bytes
from minilm.storage.model_folder import ModelFolder, read_further, read_model, write_model
from minilm.weights import shapes

__all__ = ["Checkpoint", "newest", "save"]

KEPT = 2  # the newest, and one to fall back on
OPTIMIZER = "optimizer.safetensors"
HEADER_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run as it stood after a step: what model.restore takes, and what the run was told.

    tokens: targets seen; run: the settings, plain JSON; skipped: one line for each newer checkpoint
    that could not be read.
    """

    step: int
    tokens: int
    config: ModelConfig
    arrays: Mapping[str, Array]
    tokenizer_bytes: bytes | None
    run: Mapping[str, Any]
    skipped: tuple[str, ...] = ()

    __repr__ = one_line


def save(
    folder: str | Path,
    model: Trainable,
    step: int,
    tokens: int,
    run: Mapping[str, Any],
    tokenizer_bytes: bytes | None = None,
) -> Path:
    """Write the checkpoint of a step into a run's folder, then drop all but the newest two.

    Raises MinilmError where the disk refuses; the checkpoints before it are then untouched.
    """
    target = Path(folder) / f"step-{step:08d}"
    try:
        if target.exists():
            if _whole(target):  # the same step of the same run: a resumed run that made no step
                return target
            shutil.rmtree(target, ignore_errors=True)  # damaged and passed over; the run has come to it again
        arrays = model.snapshot()
        moments = {name: array for name, array in arrays.items() if name not in shapes(model.config)}
        write_model(
            target,
            model.config,
            arrays,
            tokenizer_bytes,
            extra={"training": {"step": step, "tokens": tokens, "run": dict(run)}},
            further={OPTIMIZER: arrays_to_bytes(moments)},
        )
        reached = [path for path in _by_step(target.parent) if int(path.name[5:]) <= step]  # later: damaged
    except OSError as error:  # write_model names its own; this is a folder that cannot be looked into
        raise MinilmError(f"{target} cannot be written: {error.strerror}; free the disk, --resume") from None
    for old in reached[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def newest(folder: str | Path) -> Checkpoint:
    """The newest complete checkpoint of a run's folder; left-overs of killed saves are removed.

    Damaged ones are passed over and named in `skipped`. Raises MinilmError where none can be read.
    """
    folder = Path(folder)
    for partial in folder.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
    skipped: list[str] = []
    for path in _by_step(folder):
        try:
            return _read(path, tuple(skipped))
        except (MinilmError, OSError) as error:
            skipped.append(f"passed over a damaged checkpoint: {error}")
    reason = f" ({skipped[0]})" if skipped else ""
    raise MinilmError(f"{folder} holds no checkpoint to go on from{reason}; train without --resume")


def _by_step(folder: Path) -> list[Path]:
    """The folders of checkpoints, the newest first."""
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def _whole(path: Path) -> bool:
    try:
        _read(path, ())
    except (MinilmError, OSError):
        return False
    return True


def _read(path: Path, skipped: tuple[str, ...]) -> Checkpoint:
    held = read_model(path)
    known = held.extra.get("training")
    state = cast("dict[str, Any]", known if isinstance(known, dict) else {})
    if not isinstance(state.get("run"), dict):
        raise MinilmError(f"{path} is a model without the state of its training")
    if state.get("step") != int(path.name[5:]) or not isinstance(state.get("tokens"), int):
        raise MinilmError(f"{path} says it is step {state.get('step')}; its name says otherwise")
    arrays = {**held.arrays, **_moments(path, held)}
    return Checkpoint(
        state["step"], state["tokens"], held.config, arrays, held.tokenizer_bytes, state["run"], skipped
    )


def _moments(path: Path, held: ModelFolder) -> dict[str, Array]:
    """Adam's two moments of every weight and its count of updates: all there, fitting and finite.

    Weights in this file would take the place of those that were checked: any other name is refused.
    """
    sizes = shapes(held.config)
    limit = 2 * sum(8 * math.prod(shape) for shape in sizes.values()) + HEADER_LIMIT
    source = path / OPTIMIZER
    moments = arrays_from_bytes(read_further(path, OPTIMIZER, limit), str(source))
    wanted = {f"adam.{kind}.{name}": shape for kind in "mv" for name, shape in sizes.items()}
    wanted["adam.step"] = ()
    if set(moments) != set(wanted):
        odd = sorted(set(moments) ^ set(wanted))[0]
        raise MinilmError(
            f"{source} must hold the moments of every weight and nothing else; see {odd[:60]!r}"
        )
    for name, array in moments.items():
        if array.shape != wanted[name]:
            raise MinilmError(f"{source}: {name} must have shape {wanted[name]}, got {array.shape}")
        if not np.isfinite(array).all() or (not name.startswith("adam.m.") and (array < 0).any()):
            raise MinilmError(f"{source}: {name} holds a number that no training leaves there")
    return moments
