"""What the doctor reads from a PyTorch module: its embedding, its gates, its gradients and its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minilm.doctor.batch import measure_saturation
from minilm.doctor.watching import norms_by_name
from minilm.records import Array

__all__ = ["Facts", "as_array"]

# Layers that compute different things in train mode and in evaluation mode.
MODAL = (nn.Dropout, nn.Dropout1d, nn.modules.batchnorm._BatchNorm)


def as_array(tensor: Tensor) -> Array:
    """Return a tensor as a NumPy array; NumPy knows no bfloat16."""
    return tensor.detach().float().cpu().numpy()


class Facts:
    """What the doctor reads from a module."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def embedding(self) -> nn.Embedding | None:
        """The first embedding layer."""
        return next((part for part in self.model.modules() if isinstance(part, nn.Embedding)), None)

    @property
    def vocab_size(self) -> int | None:
        """The number of embeddings; None where there is no embedding layer."""
        table = self.embedding
        return None if table is None else table.num_embeddings

    @property
    def embedding_name(self) -> str | None:
        """The name of the embedding's parameter."""
        table = self.embedding
        named = self.model.named_parameters()
        return next((name for name, weight in named if table and weight is table.weight), None)

    @property
    def modal(self) -> bool:
        """True where train mode and evaluation mode compute different things."""
        parts = self.model.modules()
        return any(isinstance(part, MODAL) and getattr(part, "p", 1) > 0 for part in parts)

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parameters that need no gradient."""
        return tuple(name for name, weight in self.model.named_parameters() if not weight.requires_grad)

    def copy_weights(self) -> dict[str, Tensor]:
        """Return a copy of every parameter by name."""
        return {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    def norms(self, gradients: Mapping[int, Tensor] | None = None) -> dict[str, float]:
        """Return the norms of gradients by parameter.

        Args:
            gradients: By id of the parameter; None for the gradients in `grad`.
        """
        named = [
            (name, weight.grad if gradients is None else gradients.get(id(weight)))
            for name, weight in self.model.named_parameters()
        ]
        present = [(name, gradient) for name, gradient in named if gradient is not None]
        if not present:
            return {}
        values = [grad.coalesce().values() if grad.is_sparse else grad for _, grad in present]
        norms = torch.stack([torch.linalg.vector_norm(one, dtype=torch.float32) for one in values])
        return norms_by_name((name for name, _ in present), norms.tolist())

    def names_in(self, optimizer: Any) -> set[str]:
        """Return the names of the parameters that an optimizer updates."""
        given = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        return {name for name, weight in self.model.named_parameters() if id(weight) in given}

    def saturation(self, ids: Array) -> dict[str, float]:
        """Return the saturation of the first LSTM's gates on ids (B, T), where it reads the embedding."""
        lstm: Any = next((part for part in self.model.modules() if isinstance(part, nn.LSTM)), None)
        table = self.embedding
        if lstm is None or table is None or lstm.input_size != table.embedding_dim or lstm.proj_size:
            return {}
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0 if lstm.bias else torch.zeros(4 * lstm.hidden_size)
        weights = {"kernel": lstm.weight_ih_l0.T, "recurrent": lstm.weight_hh_l0.T, "bias": bias}
        weights["embedding"] = table.weight
        return measure_saturation(ids, {name: as_array(part) for name, part in weights.items()})

    def absent(self, optimizers: Sequence[Any]) -> dict[str, str]:
        """Return the parameters that no optimizer was given, each with the reason."""
        if not optimizers:
            return {}
        given = {name for optimizer in optimizers for name in self.names_in(optimizer)}
        named = self.model.named_parameters()
        return {
            name: "the optimizer was not given it"
            for name, weight in named
            if name not in given and weight.requires_grad
        }
