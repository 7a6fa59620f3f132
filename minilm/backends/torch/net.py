"""The LSTM language model as anyone would write it in PyTorch, and its parameters by canonical name.

The file holds no loss and no optimizer: those are in lstm.py. Read it beside tensorflow/net.py: both say the
same in the words of their framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minilm.errors import MinilmError, first_line
from minilm.records import Array, ModelConfig, frozen_array

__all__ = [
    "Net",
    "canonical_view",
    "find_device",
    "name_parameters",
    "swap_kernel",
    "to_array",
    "to_tensor",
    "view",
]


class Net(nn.Module):
    """Embedding, LSTM layers and a linear head. Dropout masks are handed in.

    There is one nn.LSTM per layer and not one for all, so that a dropout mask fits between two layers.

    Args:
        config: the sizes V, E, H and the number of layers.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = [config.embedding_size] + [config.hidden_size] * (config.layers - 1)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        # batch_first: without it nn.LSTM takes (T, B, E), and reads (B, T, E) without a complaint as T = B
        self.layers = nn.ModuleList(nn.LSTM(size, config.hidden_size, batch_first=True) for size in sizes)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(
        self, values: Tensor, state: Sequence[Any] | None = None, dropout: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], list[Any]]:
        """Run the layers over embeddings, one layer after the other.

        Args:
            values: (B, T, E) embeddings.
            state: (h, c) of each layer, (1, B, H) each; None begins with zeros.
            dropout: one mask (B, T, H) per layer; None drops nothing.

        Returns:
            Each layer's output (B, T, H), and each layer's (h, c) after the last step.
        """
        outputs, after = [], []
        for number, layer in enumerate(self.layers):
            # The layer computes, for every step t, as numpy/layer.py does by hand:
            #   z_t = x_t W + h_{t-1} U + b
            #   i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
            #   c_t = f * c_{t-1} + i * g
            #   h_t = o * tanh(c_t)
            values, last = layer(values, state[number] if state else None)
            if dropout is not None:
                values = values * dropout[number]
            outputs.append(values)
            after.append(last)
        return outputs, after


def name_parameters(net: Net) -> dict[str, nn.Parameter]:
    """Return torch's parameters by canonical name, and take the second bias of nn.LSTM out of play."""
    found: dict[str, Any] = {"embedding": net.embedding.weight}
    for number, layer in enumerate(net.layers):
        found[f"lstm.{number}.kernel"] = layer.weight_ih_l0
        found[f"lstm.{number}.recurrent"] = layer.weight_hh_l0
        found[f"lstm.{number}.bias"] = layer.bias_ih_l0
        # nn.LSTM adds two biases where one is enough. Trained together, their sum would learn twice as fast
        # as one bias does, so the second is set to zero and stays there.
        second: Any = layer.bias_hh_l0
        nn.init.zeros_(second).requires_grad_(False)
    return found | {"head.kernel": net.head.weight, "head.bias": net.head.bias}


def find_device(name: str) -> torch.device:
    """Return torch's device for "cpu", "cuda" or "mps" (with :N for one of several).

    Raises:
        MinilmError: torch cannot put a tensor on it.
    """
    try:
        device = torch.device(name)
        # torch.device("cuda") succeeds without a GPU; only a first tensor shows whether there is one
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MinilmError(
            f"PyTorch has no device {name!r} here ({first_line(error)}); use --device cpu"
        ) from None
    return device


def view(tensor: Tensor) -> Array:
    """Return a read-only NumPy array of a tensor. On the CPU it shares the tensor's memory."""
    return frozen_array(tensor.detach().cpu().numpy())


def swap_kernel(name: str, array: Any) -> Any:
    """Return a kernel with its two axes swapped, and any other array as it is.

    PyTorch keeps a kernel as (out, in), because it computes x Wᵀ; a canonical kernel is (in, out).
    """
    return array.T if name.endswith(("kernel", "recurrent")) else array


def canonical_view(name: str, tensor: Tensor) -> Array:
    """Return a parameter, or its gradient or its moment, as a read-only canonical array."""
    return swap_kernel(name, view(tensor))


def to_tensor(values: Array) -> Tensor:
    """Return a float32 tensor with a copy of the values."""
    return torch.from_numpy(np.array(values, np.float32))


def to_array(values: Any) -> Array:
    """Return a float64 array of a tensor, or of anything that NumPy makes an array of."""
    # a tensor with a graph or on a GPU must leave both before NumPy can read it
    found = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    return np.asarray(found, np.float64)
