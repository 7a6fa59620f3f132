"""Hugging Face causal language models: opened by folder or hub id, wrapped, or made small for a demo.

transformers takes seconds to import; import this file only when a model of its is asked for. Weights are
read from safetensors alone and code of a model folder is never run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from minilm.backends.huggingface_training import HuggingFaceModel
from minilm.dice import generator
from minilm.errors import MinilmError

__all__ = ["HuggingFaceModel", "create_gpt2", "open_model", "save_model", "wrap_model"]

DTYPES = ("float32", "float64", "bfloat16", "float16")


@contextmanager
def _silence() -> Iterator[None]:
    """transformers' log lines and progress bars off, and afterwards as they were."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def open_model(path_or_id: str | Path, device: str = "cpu", dtype: str = "float32") -> tuple[Any, Any]:
    """A causal language model by folder or hub id, and its transformers tokenizer.

    A folder is opened without a network. MinilmError where it is no model, is damaged or incomplete, has no
    safetensors weights, or needs code of its own.
    """
    if dtype not in DTYPES:
        raise MinilmError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    source = str(path_or_id)
    local = os.path.exists(source) or source.startswith((".", "~", "/")) or source.count("/") > 1
    if local:
        _check_folder(Path(source))
    try:
        with _silence():
            options = {"local_files_only": local, "trust_remote_code": False}
            opened: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True, **options
            )
            net, found = opened
            _check_complete(source, net, found)
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            return HuggingFaceModel(net.to(device), _name(source)), tokenizer
    except MinilmError:
        raise
    except Exception as error:  # transformers, safetensors, tokenizers and the hub each raise their own
        raise MinilmError(_one_line(source, error, local)) from error


def wrap_model(net: Any, name: str | None = None) -> HuggingFaceModel:
    """A transformers causal language model that is already in memory."""
    return HuggingFaceModel(net, name or _name(net.config.name_or_path) or type(net).__name__)


def create_gpt2(
    vocab_size: int,
    *,
    layers: int = 2,
    heads: int = 4,
    width: int = 64,
    context: int = 256,
    seed: int = 0,
    bos: int | None = None,
    eos: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> HuggingFaceModel:
    """A small GPT-2 to be trained, without dropout; its first weights are a pure function of the seed."""
    if width % heads:
        raise MinilmError(f"width must be a multiple of heads, got {width} and {heads}")
    config = GPT2Config(
        vocab_size=vocab_size, n_layer=layers, n_head=heads, n_embd=width, n_positions=context,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=bos, eos_token_id=eos,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), _silence():
        net: Any = GPT2LMHeadModel(config)
    _draw_weights(net, seed, layers)
    return HuggingFaceModel(net.to(device, getattr(torch, dtype)), f"gpt2-{layers}x{width}", seed=seed)


@torch.no_grad()
def _draw_weights(net: Any, seed: int, layers: int) -> None:
    """GPT-2's own rule (Radford et al., 2019): N(0, 0.02), what ends a residual branch over √(2 layers)."""
    for number, (name, parameter) in enumerate(net.named_parameters()):
        if parameter.dim() == 1:
            parameter.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
            continue
        deviation = 0.02 / np.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02
        rng = generator(seed, "weights", number)
        parameter.copy_(torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32) * deviation))


def save_model(model: HuggingFaceModel, folder: str | Path) -> None:
    """Write a model as save_pretrained does; the folder then opens wherever transformers does.

    Files are written beside the folder and moved in when they are whole; its other files stay.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with _silence():
            model.net.save_pretrained(unfinished)
        folder.mkdir(exist_ok=True)
        for file in unfinished.iterdir():
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _name(source: str) -> str:
    return Path(source).name


def _check_folder(folder: Path) -> None:
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


def _check_complete(source: str, net: Any, found: Any) -> None:
    """Refuse what transformers would fill in with random numbers, and weights that are not finite."""
    missing = [*found.get("missing_keys", ()), *found.get("mismatched_keys", ())]
    if missing:
        raise MinilmError(
            f"{source} is incomplete: {len(missing)} weights are missing, first {sorted(missing)[0]}"
        )
    for name, parameter in net.named_parameters():
        if not torch.isfinite(parameter).all():
            raise MinilmError(f"{source} is damaged: weight {name} holds a number that is not finite")


def _one_line(source: str, error: Exception, local: bool) -> str:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    what = "cannot be opened" if local else "was not found here and could not be had from the hub"
    return f"{source} {what}: {reason[:300]}"
