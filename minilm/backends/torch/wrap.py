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
    """The module as a LanguageModel; see minilm.backends.wrap for what it must answer."""
    table = next((module for module in net.modules() if isinstance(module, nn.Embedding)), None)
    place = next(net.parameters(), torch.empty(0)).device
    demanded = [
        parameter
        for parameter in inspect.signature(net.forward).parameters.values()
        if parameter.default is parameter.empty and parameter.kind in (0, 1)
    ]

    def call(ids: Array, state: Any) -> Any:
        tokens = torch.from_numpy(ids).to(place)
        modes = [(module, module.training) for module in net.modules()] if net.training else []
        net.eval()
        try:
            with torch.no_grad():
                return net(tokens) if state is None and len(demanded) < 2 else net(tokens, state)
        finally:
            for module, training in modes:
                module.training = training

    def embed(ids: Array) -> Array | None:
        return None if table is None else _array(table.weight[torch.from_numpy(ids).to(place)])

    return WrappedModel(Adapter(type(net).__name__, call, _array, embed, _copy), codec)


def _array(tensor: Tensor) -> Array:
    return (
        tensor.detach().cpu().float().numpy()
        if tensor.dtype != torch.float64
        else tensor.detach().cpu().numpy()
    )


def _copy(state: Any) -> Any:
    """A state of its own: a net may write into the one it is given, and the old one stays usable."""
    if isinstance(state, Tensor):
        return state.clone()
    if type(state) in (tuple, list):
        return type(state)(_copy(part) for part in state)
    return copy.deepcopy(state)
