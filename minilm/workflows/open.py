"""What --model names: the built-in Storyland model, a model folder, or hf:PATH_OR_ID.

Here alone models and tokenizers meet; a command gets both, ready to read and to write text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minilm import backends
from minilm.errors import MinilmError
from minilm.protocols import LanguageModel, TextCodec

__all__ = ["Opened", "open_model"]


@dataclass(frozen=True)
class Opened:
    """A model with its codec and the ids that end its texts."""

    model: LanguageModel
    codec: TextCodec
    eos_ids: tuple[int, ...]


def open_model(
    source: str | None, backend: str | None = None, device: str = "cpu", dtype: str = "float32"
) -> Opened:
    """The model and codec that --model names. Raises MinilmError where there is none."""
    if source in ("", "hf:"):
        raise MinilmError(f"--model takes a model folder or hf:PATH_OR_ID, got {source!r}")
    if source is not None and source.startswith("hf:"):
        if backend not in (None, "torch"):
            raise MinilmError(f"Hugging Face models run in torch, got --backend {backend}; leave it out")
        return _hugging_face(source.removeprefix("hf:"), device, dtype)
    import tokenizer

    folder = import_module("minilm.builtin").folder() if source is None else Path(source)
    if not (folder / "digests.json").exists() and (folder / "model" / "digests.json").exists():
        raise MinilmError(f"{folder} is the folder of a training; its model is {folder / 'model'}")
    model = backends.load(folder, backend, dtype=dtype, device=device)
    model.name = f"{folder.name}, an LSTM in {model.name}"
    codec = tokenizer.load(folder / "tokenizer.model")
    return Opened(model, codec, (codec.special_ids["eos"],))


def _hugging_face(source: str, device: str, dtype: str) -> Opened:
    for package in ("torch", "transformers"):
        if not find_spec(package):
            raise MinilmError(
                f'hf: models need {package}, which is not installed; run: pip install "minilm[hf]"'
            )
    from tokenizer.huggingface import from_transformers

    model, raw = import_module("minilm.backends.huggingface.open").open_model(
        source, device=device, dtype=dtype
    )
    codec = from_transformers(raw)
    return Opened(model, codec, _eos_ids(model, codec))


def _eos_ids(model: Any, codec: TextCodec) -> tuple[int, ...]:
    """The tokenizer's end-of-text id and those of the model's own generation settings."""
    found: int | Sequence[int] | None = model.net.generation_config.eos_token_id
    listed = [] if found is None else [found] if isinstance(found, int) else list(found)
    if "eos" in codec.special_ids:
        listed.append(codec.special_ids["eos"])
    return tuple(dict.fromkeys(listed))
