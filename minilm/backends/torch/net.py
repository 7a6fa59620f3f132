"""The LSTM language model as anyone would write it in PyTorch, and its parameters under canonical names.

No NumPy face, loss or optimizer: those are in torch_lstm.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minilm.errors import MinilmError
from minilm.records import Array, ModelConfig, frozen_array

__all__ = ["Net", "array", "canonical_view", "device_named", "parameters_by_name", "tensor", "turned", "view"]


class Net(nn.Module):
    """Embedding, LSTM layers and a linear head; one nn.LSTM per layer, so that dropout can stand between."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        inputs = [config.embedding_size] + [config.hidden_size] * (config.layers - 1)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.layers = nn.ModuleList(nn.LSTM(size, config.hidden_size, batch_first=True) for size in inputs)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(
        self, values: Tensor, state: Sequence[Any] | None = None, dropout: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], list[Any]]:
        """Embeddings (B, T, E) to each layer's output (B, T, H) and each layer's state after it."""
        outputs, after = [], []
        for number, layer in enumerate(self.layers):
            values, last = layer(values, state[number] if state else None)
            if dropout is not None:
                values = values * dropout[number]
            outputs.append(values)
            after.append(last)
        return outputs, after


def parameters_by_name(net: Net) -> dict[str, nn.Parameter]:
    """torch's parameters by canonical name; the second bias of nn.LSTM becomes zero and stays so."""
    found: dict[str, Any] = {"embedding": net.embedding.weight}
    for number, layer in enumerate(net.layers):
        names = {"kernel": "weight_ih_l0", "recurrent": "weight_hh_l0", "bias": "bias_ih_l0"}
        found |= {f"lstm.{number}.{ours}": getattr(layer, theirs) for ours, theirs in names.items()}
        second: Any = layer.bias_hh_l0
        nn.init.zeros_(second).requires_grad_(False)
    return found | {"head.kernel": net.head.weight, "head.bias": net.head.bias}


def device_named(name: str) -> torch.device:
    """A device of torch, after a first tensor on it; MinilmError where it is not to be had."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise MinilmError(f"Device {name!r} is not to be had here ({reason}); use --device cpu") from None
    return device


def view(tensor: Tensor) -> Array:
    """A read-only NumPy array of a tensor; on the CPU no number is copied."""
    return frozen_array(tensor.detach().cpu().numpy())


def turned(name: str, array: Any) -> Any:
    """A kernel turned round: torch keeps them as (out, in), the canonical arrays are (in, out)."""
    return array.T if name.endswith(("kernel", "recurrent")) else array


def canonical_view(name: str, tensor: Tensor) -> Array:
    """A parameter, or its gradient or moment, as its canonical array."""
    return turned(name, view(tensor))


def tensor(values: Array) -> torch.Tensor:
    """A float32 tensor of its own."""
    return torch.from_numpy(np.array(values, np.float32))


def array(values: Any) -> Array:
    """A float64 array of a tensor (or of what NumPy takes for an array), off its graph and device."""
    found = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    return np.asarray(found, np.float64)
