"""A user's torch module as a LanguageModel: read in eval mode, without gradients, and left as it was."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from minilm.backends.wrapped import Adapter, WrappedModel
from minilm.protocols import TextCodec
from minilm.records import Array

__all__ = ["wrap"]


def wrap(net: nn.Module, codec: TextCodec | None = None) -> WrappedModel:
    """Return the module as a LanguageModel; minilm.backends.wrap says what it must answer."""
    table = next((module for module in net.modules() if isinstance(module, nn.Embedding)), None)
    where = next(net.parameters(), torch.empty(0)).device
    demanded = [
        parameter
        for parameter in inspect.signature(net.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (0, 1)
    ]

    def call(ids: Array, state: Any) -> Any:
        tokens = torch.from_numpy(ids).to(where)
        # eval() switches dropout off in every module; afterwards each gets its own mode back
        modes = [(module, module.training) for module in net.modules()] if net.training else []
        net.eval()
        try:
            with torch.no_grad():
                return net(tokens) if state is None and len(demanded) < 2 else net(tokens, state)
        finally:
            for module, training in modes:
                module.training = training

    def embed(ids: Array) -> Array | None:
        return None if table is None else _array(table.weight[torch.from_numpy(ids).to(where)])

    return WrappedModel(Adapter(type(net).__name__, call, _array, embed, _copy), codec)


def _array(tensor: Tensor) -> Array:
    # NumPy has no bfloat16: everything but float64 becomes float32
    found = tensor if tensor.dtype == torch.float64 else tensor.float()
    return found.detach().cpu().numpy()


def _copy(state: Any) -> Any:
    """Return a copy of a state. A net may write into the state it is given, and the old one must last."""
    if isinstance(state, Tensor):
        return state.clone()
    if type(state) in (tuple, list):
        return type(state)(_copy(part) for part in state)
    return copy.deepcopy(state)
