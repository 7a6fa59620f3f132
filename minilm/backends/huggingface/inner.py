"""The inner arrays of a transformers model: hidden states, logit lens, attention, position embeddings.

The logits of a reading always come from the model's own attention, which does not show its weights. These
come from a second reading with plain ("eager") attention, and the largest difference of its logits is shown.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn

from minilm.errors import MinilmError
from minilm.records import Array, frozen_array

__all__ = ["array", "collect_inner", "copy_eager", "count_layers", "expand_names", "list_inner_names"]

# the names of the final norm, and of the table of positions, in the families of transformers
NORMS = (
    "ln_f",
    "norm",
    "final_layer_norm",
    "final_layernorm",
    "norm_f",
    "final_norm",
    "ln_out",
    "out_norm",
    "layernorm",
)

POSITIONS = ("wpe", "embed_positions", "position_embeddings")


def array(tensor: torch.Tensor) -> Array:
    """Return a tensor as a read-only NumPy array. Half precision becomes float32, which holds it exactly."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return frozen_array(tensor.cpu().numpy())


def _stack(net: Any) -> nn.Module:
    """Return the module that holds the embeddings, the layers and the final norm."""
    stack = net.base_model
    return getattr(stack, "decoder", stack)


def _find_module(net: Any, names: Sequence[str]) -> Any:
    return next((getattr(_stack(net), name) for name in names if hasattr(_stack(net), name)), None)


def count_layers(net: Any) -> int:
    """Return the number of layers."""
    return int(net.config.get_text_config(decoder=True).num_hidden_layers)


def list_inner_names(net: Any) -> list[str]:
    """Return the names of the inner arrays of a reading.

    Attention is always among them; a model without attention refuses it in the reading.
    """
    layers = count_layers(net)
    names = [f"hidden.{n}" for n in range(layers + 1)] + [f"attention.{n}" for n in range(layers)]
    if _find_module(net, NORMS) is not None:
        names += [f"logit_lens.{n}" for n in range(layers + 1)]
    if isinstance(_find_module(net, POSITIONS), nn.Embedding):
        names.append("position")
    return names


def expand_names(net: Any, inner: Iterable[str]) -> list[str]:
    """Return the names of single arrays: "hidden" becomes "hidden.0", "hidden.1" and so on.

    Raises:
        MinilmError: the model has no array of this name.
    """
    names = list_inner_names(net)
    groups = {name: [n for n in names if n.split(".")[0] == name] for name in inner}
    for name in groups:
        if name not in names and not groups[name]:
            kinds = ", ".join(dict.fromkeys(n.split(".")[0] for n in names))
            layers = count_layers(net)
            raise MinilmError(f"This model has no inner {name!r}; it has {kinds} (layers 0 to {layers})")
    return list(dict.fromkeys(chain.from_iterable(groups[name] or [name] for name in groups)))


def collect_inner(
    net: Any, names: Sequence[str], hidden: Sequence[torch.Tensor], logits: torch.Tensor, rows: slice
) -> dict[str, Array]:
    """Return the arrays that follow from one reading: hidden.L (T, H), logit_lens.L (T, V), position (T, E).

    With a lens comes "logit_lens.logit_difference": the largest difference between the head on the last
    hidden state and the model's logits. It exceeds rounding where a model does more after its final norm.

    Args:
        net: the transformers model.
        names: names of single arrays.
        hidden: (T, H) of every layer, the last one after the final norm, as transformers gives them.
        logits: (T, V).
        rows: the positions that were read.
    """
    seen: dict[str, Array] = {}
    norm, head = _find_module(net, NORMS), net.get_output_embeddings()
    for name in names:
        kind, _, number = name.partition(".")
        if kind == "hidden":
            seen[name] = array(hidden[int(number)])
        elif kind == "logit_lens":
            last = int(number) == len(hidden) - 1
            seen[name] = array(head(hidden[-1] if last else norm(hidden[int(number)])))
            seen["logit_lens.logit_difference"] = array((head(hidden[-1]) - logits).abs().max())
        elif kind == "position":
            table = _find_module(net, POSITIONS)
            # the first rows of OPT's table belong to no position
            offset = getattr(table, "offset", 0)
            seen[name] = array(table.weight[rows.start + offset : rows.stop + offset])
    return seen


def copy_eager(net: Any) -> Any:
    """Return a copy of the model, over the same weights, with plain attention that can be shown.

    Raises:
        MinilmError: the model has no plain attention.
    """
    if not net._can_set_attn_implementation():
        raise MinilmError(f"{type(net).__name__} cannot be read with plain attention, so shows none")
    # deepcopy takes what is in this memo as already copied, so the tensors are shared
    shared = {id(tensor): tensor for tensor in chain(net.parameters(), net.buffers())}
    eager = copy.deepcopy(net, shared)
    eager.set_attn_implementation("eager")
    return eager
