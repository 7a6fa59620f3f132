"""The folder of a transformers model: checked before and after it is opened, and written as a whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as hf_logging

from minilm.atomic import fill_folder
from minilm.errors import MinilmError

__all__ = ["check_complete", "check_folder", "save_net", "silence"]


@contextmanager
def silence() -> Iterator[None]:
    """Switch off log lines and progress bars of transformers and its hub, and put them back afterwards."""
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels, bars = [logger.level for logger in loggers], hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()


def check_folder(folder: Path) -> None:
    """Raise MinilmError unless the folder holds a transformers model with safetensors weights."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise MinilmError(f"{folder} {what}; give the folder of a Hugging Face model, or a hub id like gpt2")
    if not (folder / "config.json").is_file():
        raise MinilmError(f"{folder} is no Hugging Face model: it holds no config.json")
    if not any(folder.glob("*.safetensors")):
        raise MinilmError(
            f"{folder} holds no safetensors weights; pickled ones can run code and are not opened:"
            " save the model again with save_pretrained"
        )
    for index in sorted(folder.glob("*.index.json")):
        _check_index(folder, index)


def _check_index(folder: Path, index: Path) -> None:
    """Raise MinilmError unless every file that an index of weights names is safetensors in this folder.

    transformers opens whatever an index names: a pickle, which can run code, or a file outside the folder.
    """
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise MinilmError(f"{index} is damaged: it is no index of weights") from None
    for name in sorted(map(str, shards)):
        if not name.endswith(".safetensors"):
            raise MinilmError(
                f"{index} names {name[:80]!r}; only safetensors weights are opened, since pickled ones can"
                " run code: save the model again with save_pretrained"
            )
        if Path(name).name != name or "\\" in name:
            raise MinilmError(f"{index} names {name[:80]!r}, which is not in the model's own folder")


def check_complete(source: str, net: Any, found: Any) -> None:
    """Raise MinilmError for weights that are missing or not finite.

    Args:
        source: the model as the user named it.
        net: the model.
        found: transformers' report on what it loaded.
    """
    # transformers fills missing weights with random numbers, and only warns
    missing = [*found.get("missing_keys", ()), *found.get("mismatched_keys", ())]
    if missing:
        raise MinilmError(
            f"{source} is incomplete: {len(missing)} weights are missing, first {sorted(missing)[0]}"
        )
    for name, parameter in net.named_parameters():
        if not torch.isfinite(parameter).all():
            raise MinilmError(f"{source} is damaged: weight {name} holds a number that is not finite")


def save_net(net: Any, folder: Path) -> None:
    """Write a net as save_pretrained does, each file whole or absent. The folder's other files stay."""
    if folder.exists() and not folder.is_dir():
        raise MinilmError(f"{folder} is a file; give a folder for the model")
    with fill_folder(folder) as unfinished, silence():
        net.save_pretrained(unfinished)
