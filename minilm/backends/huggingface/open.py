"""Open, wrap or create a causal language model of Hugging Face.

Weights are read from safetensors files alone, and code in a model's folder is never run. transformers takes
seconds to import, so this file is imported only when such a model is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from minilm.backends.huggingface.files import check_complete, check_folder, silence
from minilm.backends.huggingface.training import HuggingFaceModel
from minilm.dice import generator
from minilm.errors import MinilmError, first_line

__all__ = ["HuggingFaceModel", "create_gpt2", "open_hugging_face", "wrap_model"]

DTYPES = ("float32", "float64", "bfloat16", "float16")


def open_hugging_face(path_or_id: str | Path, device: str = "cpu", dtype: str = "float32") -> tuple[Any, Any]:
    """Open a model, and return it with its transformers tokenizer.

    Args:
        path_or_id: a model's folder, which is opened without a network, or its id on the hub, such as "gpt2".
        device: a device of PyTorch, such as "cpu" or "cuda".
        dtype: "float32", "float64", "bfloat16" or "float16".

    Raises:
        MinilmError: there is no model, it is damaged or incomplete, it has no safetensors weights, or it
            needs code of its own.
    """
    if dtype not in DTYPES:
        raise MinilmError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    source = os.path.expanduser(path_or_id)
    local = os.path.exists(source) or source.startswith((".", "/")) or source.count("/") > 1
    if local:
        check_folder(Path(source))
    try:
        with silence():
            options = {"local_files_only": local, "trust_remote_code": False}
            opened: Any = AutoModelForCausalLM.from_pretrained(
                source, dtype=getattr(torch, dtype), use_safetensors=True, output_loading_info=True, **options
            )
            net, found = opened
            check_complete(source, net, found)
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            return HuggingFaceModel(net.to(device), _name(source)), tokenizer
    except MinilmError:
        raise
    # transformers, safetensors, tokenizers and the hub each raise errors of their own
    except Exception as error:
        raise MinilmError(_one_line(source, error, local)) from error


def wrap_model(net: Any, name: str | None = None) -> HuggingFaceModel:
    """Return a transformers causal language model, which is already in memory, as a model of minilm."""
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
    """Create a small GPT-2 without dropout, to be trained.

    Args:
        vocab_size: V, the number of token ids.
        layers: number of layers.
        heads: attention heads per layer.
        width: size of the embeddings and of the hidden states, a multiple of `heads`.
        context: how many tokens the model can read.
        seed: the first weights are a pure function of it.
        bos: id of the token that begins a text, or None.
        eos: id of the token that ends a text, or None.
        device: a device of PyTorch.
        dtype: "float32", "float64", "bfloat16" or "float16".
    """
    if width % heads:
        raise MinilmError(f"width must be a multiple of heads, got {width} and {heads}")
    config = GPT2Config(
        vocab_size=vocab_size, n_layer=layers, n_head=heads, n_embd=width, n_positions=context,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=bos, eos_token_id=eos,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), silence():
        net: Any = GPT2LMHeadModel(config)
    _draw_weights(net, seed, layers)
    return HuggingFaceModel(net.to(device, getattr(torch, dtype)), f"gpt2-{layers}x{width}", seed=seed)


@torch.no_grad()
def _draw_weights(net: Any, seed: int, layers: int) -> None:
    """Draw the first weights by GPT-2's rule (Radford et al., 2019).

    Kernels are N(0, 0.02); those that end a residual branch are divided by √(2 layers). Biases are 0.
    """
    for number, (name, parameter) in enumerate(net.named_parameters()):
        if parameter.dim() == 1:
            parameter.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
            continue
        deviation = 0.02 / np.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02
        rng = generator(seed, "weights", number)
        parameter.copy_(torch.from_numpy(rng.standard_normal(tuple(parameter.shape), np.float32) * deviation))


def _name(source: str) -> str:
    return Path(source).name


def _one_line(source: str, error: Exception, local: bool) -> str:
    what = "cannot be opened" if local else "was not found here and could not be loaded from the hub"
    return f"{source} {what}: {first_line(error)}"
