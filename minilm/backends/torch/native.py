"""The net trained as PyTorch does it by default: its own first weights, two biases, torch.optim.Adam.

Each default in which PyTorch and Keras differ can be made neutral, one at a time. Read this file beside
tensorflow/native.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from minilm import weights as canonical
from minilm.backends.torch.net import Net, canonical_view, swap_kernel
from minilm.records import Array, ModelConfig

__all__ = ["DEFAULTS", "NativeTorch"]

DEFAULTS = ("two_biases", "embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init")
"""The defaults of PyTorch that can be made neutral."""

_PARTS = {"kernel": "weight_ih_l0", "recurrent": "weight_hh_l0", "bias": "bias_ih_l0"}


class NativeTorch:
    """A training with PyTorch's defaults, which begins anew at every call of `train`.

    Args:
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
    """

    def __init__(self, config: ModelConfig, dtype: str) -> None:
        self.config, self._dtype = config, getattr(torch, dtype)
        self._ours = canonical.initial_weights(config, dtype)

    def train(
        self, batches: Sequence[tuple[Array, Array, Array]], rate: float, neutral: frozenset[str]
    ) -> tuple[Array, Mapping[str, Array]]:
        """Train on the batches, one step each.

        Args:
            batches: inputs, targets and mask of each step, (B, T) each.
            rate: the learning rate.
            neutral: the names of the defaults that are replaced by ours.

        Returns:
            The losses (steps,) in nats per token, and the canonical weights after the last step.
        """
        net = self._create_net(neutral)
        optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=rate)
        losses = []
        for inputs, targets, mask in batches:
            optimizer.zero_grad()
            outputs, _ = net(net.embedding(torch.from_numpy(inputs)))
            logits = net.head(outputs[-1]).flatten(0, 1)  # (B T, V)
            each = functional.cross_entropy(logits, torch.from_numpy(targets).flatten(), reduction="none")
            kept = torch.from_numpy(mask).to(self._dtype).flatten()  # (B T,)
            loss = (each * kept).sum() / kept.sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return np.array(losses), _canonical_copies(net)

    def _create_net(self, neutral: frozenset[str]) -> Net:
        """Let PyTorch draw the weights from the seed, and write ours over those that are neutral."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            net = Net(self.config).to(self._dtype)
        with torch.no_grad():
            if "embedding_init" in neutral:
                _copy(net.embedding.weight, self._ours["embedding"])
            if "head_init" in neutral:
                _copy(net.head.weight, self._ours["head.kernel"].T)
                _copy(net.head.bias, self._ours["head.bias"])
            for number, layer in enumerate(net.layers):
                self._neutralise_layer(layer, number, neutral)
        return net

    def _neutralise_layer(self, layer: nn.Module, number: int, neutral: frozenset[str]) -> None:
        second = layer.get_parameter("bias_hh_l0")
        for part, theirs in _PARTS.items():
            if f"{part}_init" in neutral:
                name = f"lstm.{number}.{part}"
                _copy(layer.get_parameter(theirs), swap_kernel(name, self._ours[name]))
        if "bias_init" in neutral:
            second.zero_()
        if "two_biases" in neutral:
            # one bias with the sum of the two, so that the net computes the same and only one is trained
            layer.get_parameter("bias_ih_l0").add_(second)
            second.zero_().requires_grad_(False)


def _copy(parameter: torch.Tensor, array: Array) -> None:
    parameter.copy_(torch.from_numpy(np.array(array)))


def _canonical_copies(net: Net) -> dict[str, Array]:
    """Return copies of the weights by canonical name; the bias is the sum of PyTorch's two."""
    found = {"embedding": net.embedding.weight}
    for number, layer in enumerate(net.layers):
        found |= {f"lstm.{number}.{part}": layer.get_parameter(name) for part, name in _PARTS.items()}
        found[f"lstm.{number}.bias"] = found[f"lstm.{number}.bias"] + layer.get_parameter("bias_hh_l0")
    found |= {"head.kernel": net.head.weight, "head.bias": net.head.bias}
    return {name: canonical_view(name, tensor).copy() for name, tensor in found.items()}
