"""The net trained as PyTorch does it by default: its own first weights, two biases, torch.optim.Adam.

What it does unlike Keras can be made neutral, one default of the comparison at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minilm import weights as canonical
from minilm.backends.torch.net import Net, canonical_view, turned
from minilm.records import Array, ModelConfig

__all__ = ["DEFAULTS", "NativeTorch"]

DEFAULTS = ("two_biases", "embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init")

NAMES = {"kernel": "weight_ih_l0", "recurrent": "weight_hh_l0", "bias": "bias_ih_l0"}


class NativeTorch:
    """Trains a fresh net of the config on the same batches at every call of `train`."""

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        self.config, self._kind = config, getattr(torch, dtype)
        self._ours = canonical.initial(config, dtype)

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Losses (steps,), nats per token, and the weights after; batches of inputs, targets, mask (B, T)."""
        net = self._net(neutral)
        optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=rate)
        losses = []
        for inputs, targets, mask in batches:
            optimizer.zero_grad()
            outputs, _ = net(net.embedding(torch.from_numpy(inputs)))
            logits = net.head(outputs[-1]).flatten(0, 1)  # (B T, V)
            each = functional.cross_entropy(logits, torch.from_numpy(targets).flatten(), reduction="none")
            kept = torch.from_numpy(mask).to(self._kind).flatten()
            loss = (each * kept).sum() / kept.sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses), _weights(net)

    def _net(self, neutral: frozenset[str]) -> Net:
        """torch's own draws (of one seed), and over them the canonical arrays where a default is neutral."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            net = Net(self.config).to(self._kind)
        with torch.no_grad():
            if "embedding_init" in neutral:
                _copy(net.embedding.weight, self._ours["embedding"])
            if "head_init" in neutral:
                _copy(net.head.weight, self._ours["head.kernel"].T)
                _copy(net.head.bias, self._ours["head.bias"])
            for number, layer in enumerate(net.layers):
                self._begin(layer, number, neutral)
        return net

    def _begin(self, layer: nn.Module, number: int, neutral: frozenset[str]) -> None:
        second = layer.get_parameter("bias_hh_l0")
        for part, theirs in NAMES.items():
            if f"{part}_init" in neutral:
                name = f"lstm.{number}.{part}"
                _copy(layer.get_parameter(theirs), turned(name, self._ours[name]))
        if "bias_init" in neutral:
            second.zero_()
        if "two_biases" in neutral:
            layer.get_parameter("bias_ih_l0").add_(second)
            second.zero_().requires_grad_(False)


def _copy(parameter: torch.Tensor, array: Array) -> None:
    parameter.copy_(torch.from_numpy(np.array(array)))


def _weights(net: Net) -> dict[str, Array]:
    """Copies by canonical name; the bias is the sum of the two."""
    found = {"embedding": net.embedding.weight}
    for number, layer in enumerate(net.layers):
        found |= {f"lstm.{number}.{part}": layer.get_parameter(name) for part, name in NAMES.items()}
        found[f"lstm.{number}.bias"] = found[f"lstm.{number}.bias"] + layer.get_parameter("bias_hh_l0")
    found |= {"head.kernel": net.head.weight, "head.bias": net.head.bias}
    return {name: canonical_view(name, tensor).copy() for name, tensor in found.items()}
