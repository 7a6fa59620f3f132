"""What can be seen inside a transformers model: hidden states, logit lens, attention, position embeddings.

The logits of a reading always come from the model's own attention; attention weights need the plain ("eager")
one, so they come from a second reading, and how far its logits lie from the first is shown beside them.
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

__all__ = ["array", "available", "eager_twin", "expand", "layer_count", "looks"]

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
    """A tensor as a read-only NumPy array; half precisions become float32, which holds them exactly."""
    tensor = tensor.detach()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return frozen_array(tensor.cpu().numpy())


def _stack(net: Any) -> nn.Module:
    """The module that holds the embeddings, the layers and the final norm."""
    stack = net.base_model
    return getattr(stack, "decoder", stack)


def _named(net: Any, names: Sequence[str]) -> Any:
    return next((getattr(_stack(net), name) for name in names if hasattr(_stack(net), name)), None)


def layer_count(net: Any) -> int:
    """How many layers the model has."""
    return int(net.config.get_text_config(decoder=True).num_hidden_layers)


def available(net: Any) -> list[str]:
    """The names that `inner` of a reading can ask for; whether a model has attention shows when asked."""
    layers = layer_count(net)
    names = [f"hidden.{n}" for n in range(layers + 1)] + [f"attention.{n}" for n in range(layers)]
    if _named(net, NORMS) is not None:
        names += [f"logit_lens.{n}" for n in range(layers + 1)]
    if isinstance(_named(net, POSITIONS), nn.Embedding):
        names.append("position")
    return names


def expand(net: Any, inner: Iterable[str]) -> list[str]:
    """Names as asked, "hidden" standing for every hidden.L; MinilmError for one that the model has not."""
    names = available(net)
    groups = {name: [n for n in names if n.split(".")[0] == name] for name in inner}
    for name in groups:
        if name not in names and not groups[name]:
            kinds = ", ".join(dict.fromkeys(n.split(".")[0] for n in names))
            layers = layer_count(net)
            raise MinilmError(f"This model has no inner {name!r}; it has {kinds} (layers 0 to {layers})")
    return list(dict.fromkeys(chain.from_iterable(groups[name] or [name] for name in groups)))


def looks(
    net: Any, names: Sequence[str], hidden: Sequence[torch.Tensor], logits: torch.Tensor, rows: slice
) -> dict[str, Array]:
    """The arrays that one reading gives: hidden.L (T, H), logit_lens.L (T, V), position (T, E).

    hidden: every layer's (T, H), the last of them after the final norm, as transformers gives them;
    logits: (T, V); rows: the positions that were read. With a lens comes "logit_lens.logit_difference",
    how far norm and head alone lie from the logits: above rounding where a model does more after them.
    """
    seen: dict[str, Array] = {}
    norm, head = _named(net, NORMS), net.get_output_embeddings()
    for name in names:
        kind, _, number = name.partition(".")
        if kind == "hidden":
            seen[name] = array(hidden[int(number)])
        elif kind == "logit_lens":
            last = int(number) == len(hidden) - 1
            seen[name] = array(head(hidden[-1] if last else norm(hidden[int(number)])))
            seen["logit_lens.logit_difference"] = array((head(hidden[-1]) - logits).abs().max())
        elif kind == "position":
            table = _named(net, POSITIONS)
            offset = getattr(table, "offset", 0)
            seen[name] = array(table.weight[rows.start + offset : rows.stop + offset])
    return seen


def eager_twin(net: Any) -> Any:
    """The same model over the same weights, but with plain attention, which can be seen."""
    if not net._can_set_attn_implementation():
        raise MinilmError(f"{type(net).__name__} cannot be read with plain attention, so shows none")
    shared = {id(tensor): tensor for tensor in chain(net.parameters(), net.buffers())}
    twin = copy.deepcopy(net, shared)
    twin.set_attn_implementation("eager")
    return twin
