"""A model on disk: a folder that is whole or absent, in which every changed bit is found.

It holds config.json (sizes), model.safetensors (canonical arrays), tokenizer.model where there is one, and
digests.json with the SHA-256 of each file. Nothing in it is ever run. Adam's averages are not part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minilm.atomic import write_folder
from minilm.errors import MinilmError
from minilm.model_config import check_config, config_from_json
from minilm.records import Array, ModelConfig
from minilm.storage.arrays import arrays_from_bytes, arrays_to_bytes
from minilm.weights import check_weights, weight_shapes

__all__ = ["ModelFolder", "read_further", "read_model", "write_model"]

CONFIG, ARRAYS, TOKENIZER, DIGESTS = "config.json", "model.safetensors", "tokenizer.model", "digests.json"

JSON_LIMIT = 1 << 20

TOKENIZER_LIMIT = 1 << 26

FOREIGN = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".npz", ".h5", ".keras")


@dataclass(frozen=True, eq=False)
class ModelFolder:
    """The content of a model folder.

    Attributes:
        config: the sizes.
        arrays: the weights by canonical name.
        tokenizer_bytes: the tokenizer's file, or None.
        extra: the other keys of config.json.
    """

    config: ModelConfig
    arrays: Mapping[str, Array]
    tokenizer_bytes: bytes | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_model(
    folder: str | Path,
    config: ModelConfig,
    arrays: Mapping[str, Array],
    tokenizer_bytes: bytes | None = None,
    extra: Mapping[str, Any] | None = None,
    further: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model folder, whole or not at all.

    Args:
        folder: a new folder.
        config: the sizes.
        arrays: the weights by canonical name.
        tokenizer_bytes: the tokenizer's file, or None.
        extra: further keys of config.json.
        further: further files by name, with digests too; `read_further` reads them.

    Raises:
        MinilmError: the folder exists, the arrays do not fit the config, or the disk refuses; nothing is left
            behind.
    """
    folder = Path(folder)
    check_weights(check_config(config), arrays)
    if os.path.lexists(folder):
        raise MinilmError(f"{folder} exists already; give a new folder, nothing was overwritten")
    try:
        text = json.dumps({**(extra or {}), "format": 1, "model": asdict(config)}, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MinilmError(f"extra must be plain JSON without NaN, got: {error}") from None
    files = {
        **(further or {}),
        CONFIG: text.encode(),
        ARRAYS: arrays_to_bytes({name: arrays[name] for name in weight_shapes(config)}),
    }
    if tokenizer_bytes is not None:
        files[TOKENIZER] = tokenizer_bytes
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    write_folder(folder, {**files, DIGESTS: json.dumps(digests, indent=1).encode()})


def read_model(folder: str | Path) -> ModelFolder:
    """Read a model folder and check all of it: digests, names, shapes, finite numbers.

    Raises:
        MinilmError: something is missing, truncated, damaged or of another program.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MinilmError(f"Model folder {folder} does not exist or is no folder")
    _refuse_foreign(folder)
    digests = _json(folder, DIGESTS, _file(folder, DIGESTS, JSON_LIMIT))
    values = _json(folder, CONFIG, _digested(folder, CONFIG, JSON_LIMIT, digests))
    config = config_from_json(values.pop("model", None), str(folder / CONFIG))
    if values.pop("format", None) != 1:
        raise MinilmError(f"{folder / CONFIG} is of a format that this minilm does not know; update minilm")
    largest = sum(8 * math.prod(shape) for shape in weight_shapes(config).values()) + JSON_LIMIT
    source = folder / ARRAYS
    arrays = arrays_from_bytes(_digested(folder, ARRAYS, largest, digests), str(source))
    try:
        check_weights(config, arrays)
    except MinilmError as error:
        raise MinilmError(f"{source}: {error}") from None
    known = TOKENIZER in digests or (folder / TOKENIZER).exists()
    tokenizer = _digested(folder, TOKENIZER, TOKENIZER_LIMIT, digests) if known else None
    return ModelFolder(config, {name: arrays[name] for name in weight_shapes(config)}, tokenizer, values)


def read_further(folder: str | Path, name: str, limit: int) -> bytes:
    """Return a further file of a model folder, checked against its digest; at most `limit` bytes."""
    folder = Path(folder)
    return _digested(folder, name, limit, _json(folder, DIGESTS, _file(folder, DIGESTS, JSON_LIMIT)))


def _refuse_foreign(folder: Path) -> None:
    if (folder / CONFIG).exists() and (folder / ARRAYS).exists() and (folder / DIGESTS).exists():
        return
    foreign = sorted(path.name for path in folder.iterdir() if path.suffix in FOREIGN)
    if foreign:
        raise MinilmError(
            f"{folder} holds {foreign[0]}, which is not minilm's format and may run code; it is not opened"
        )
    if (folder / CONFIG).exists() and not (folder / DIGESTS).exists():
        raise MinilmError(
            f"{folder} is no model folder of minilm ({DIGESTS} is missing); for a Hugging Face model "
            f"write hf:{folder}"
        )


def _digested(folder: Path, name: str, limit: int, digests: Mapping[str, Any]) -> bytes:
    data = _file(folder, name, limit)
    if hashlib.sha256(data).hexdigest() != digests.get(name):
        raise MinilmError(f"{folder / name} does not match its digest in {DIGESTS}; it is damaged or changed")
    return data


def _file(folder: Path, name: str, limit: int) -> bytes:
    """Return the bytes of an ordinary file inside the folder, at most `limit`."""
    path = folder / name
    if not path.exists():
        raise MinilmError(f"{folder} holds no {name}; is it a model folder of minilm?")
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise MinilmError(f"{path} must be an ordinary file inside its folder; links out of it are refused")
    size = path.stat().st_size
    if size > limit:
        raise MinilmError(f"{path} is {size} bytes where {limit} are the most; it is damaged or foreign")
    try:
        return path.read_bytes()
    except OSError as error:
        raise MinilmError(f"{path} cannot be read: {error.strerror}") from None


def _json(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise MinilmError(f"{folder / name} is not a JSON object; it is damaged or foreign")
    return values
