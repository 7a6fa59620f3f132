"""Checkpoints: a training run on disk, from which it goes on bit for bit.

A checkpoint is a model folder, whole or absent. It also holds Adam's two averages and, in its config.json,
the settings of the run. Batches and dropout masks follow from seed and step, so they are not saved.
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
from minilm.weights import weight_shapes

__all__ = ["Checkpoint", "newest", "save_checkpoint"]

# The newest checkpoint, and one to go back to where that is damaged.
KEPT = 2
OPTIMIZER = "optimizer.safetensors"
HEADER_LIMIT = 1 << 20


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run after some step.

    Attributes:
        step: updates made.
        tokens: targets seen.
        config: the sizes of the model.
        arrays: weights and Adam's averages, for `model.restore`.
        tokenizer_bytes: the tokenizer's file, or None.
        run: the settings of the run, plain JSON.
        skipped: a line for each newer checkpoint that could not be read.
    """

    step: int
    tokens: int
    config: ModelConfig
    arrays: Mapping[str, Array]
    tokenizer_bytes: bytes | None
    run: Mapping[str, Any]
    skipped: tuple[str, ...] = ()

    __repr__ = one_line


def save_checkpoint(
    folder: str | Path,
    model: Trainable,
    step: int,
    tokens: int,
    run: Mapping[str, Any],
    tokenizer_bytes: bytes | None = None,
) -> Path:
    """Write the checkpoint of a step, then remove all but the newest two.

    One process at a time may save into a folder; `minilm.storage.lock` sees to it. Others may read meanwhile.

    Args:
        folder: the folder of the run.
        model: as it is after the step.
        step: updates made.
        tokens: targets seen.
        run: the settings of the run, plain JSON.
        tokenizer_bytes: the tokenizer's file, or None.

    Returns:
        The folder of the checkpoint.

    Raises:
        MinilmError: the disk refuses; earlier checkpoints stay.
    """
    target = Path(folder) / f"step-{step:08d}"
    try:
        # Nobody else saves here, so these are what killed saves have left.
        for left_over in target.parent.glob(".step-*.partial"):
            shutil.rmtree(left_over, ignore_errors=True)
        if target.exists():
            # A run that was resumed and made no step saves the same step again.
            if _is_whole(target):
                return target
            # It was damaged and skipped, and the run has come to this step again.
            shutil.rmtree(target, ignore_errors=True)
        arrays = model.snapshot()
        moments = {name: array for name, array in arrays.items() if name not in weight_shapes(model.config)}
        write_model(
            target,
            model.config,
            arrays,
            tokenizer_bytes,
            extra={"training": {"step": step, "tokens": tokens, "run": dict(run)}},
            further={OPTIMIZER: arrays_to_bytes(moments)},
        )
        _remove_older(target.parent, step)
    # write_model turns its own errors into MinilmError; this one is of a folder that cannot be read.
    except OSError as error:
        raise MinilmError(f"{target} cannot be written: {error.strerror}; free the disk, --resume") from None
    return target


def newest(folder: str | Path) -> Checkpoint:
    """Read the newest checkpoint of a run, and change nothing, so that the run may save meanwhile.

    Damaged checkpoints are skipped.

    Raises:
        MinilmError: there is no checkpoint that can be read.
    """
    folder = Path(folder)
    skipped: list[str] = []
    for path in _by_step(folder):
        try:
            return _read(path, tuple(skipped))
        except (MinilmError, OSError) as error:
            # The run has saved two newer ones since the folder was listed, and removed this one.
            if not path.exists():
                return newest(folder)
            skipped.append(f"passed over a damaged checkpoint: {error}")
    reason = f" ({skipped[0]})" if skipped else ""
    raise MinilmError(f"{folder} holds no checkpoint to go on from{reason}; train without --resume")


def _remove_older(folder: Path, step: int) -> None:
    """Remove all checkpoints up to a step but the newest two."""
    # Later steps than this one are damaged ones that were skipped.
    reached = [path for path in _by_step(folder) if int(path.name[5:]) <= step]
    for old in reached[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _by_step(folder: Path) -> list[Path]:
    """Return the folders of checkpoints, the newest first."""
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def _is_whole(path: Path) -> bool:
    try:
        _read(path, ())
    except (MinilmError, OSError):
        return False
    return True


def _read(path: Path, skipped: tuple[str, ...]) -> Checkpoint:
    saved = read_model(path)
    known = saved.extra.get("training")
    state = cast("dict[str, Any]", known if isinstance(known, dict) else {})
    if not isinstance(state.get("run"), dict):
        raise MinilmError(f"{path} is a model without the state of its training")
    if state.get("step") != int(path.name[5:]) or not isinstance(state.get("tokens"), int):
        raise MinilmError(f"{path} says it is step {state.get('step')}; its name says otherwise")
    arrays = {**saved.arrays, **_moments(path, saved)}
    return Checkpoint(
        state["step"], state["tokens"], saved.config, arrays, saved.tokenizer_bytes, state["run"], skipped
    )


def _moments(path: Path, saved: ModelFolder) -> dict[str, Array]:
    """Read Adam's two averages of every weight and its number of updates, and check them.

    Any other name is refused: weights in this file would replace those that were checked.
    """
    sizes = weight_shapes(saved.config)
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
