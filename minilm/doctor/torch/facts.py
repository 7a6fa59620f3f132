"""What the doctor asks of a torch module: its embedding, its vocabulary, its gates, its gradients.

Nothing is hooked here; the hooks are in torch_attach.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from minilm.doctor.batch import saturation
from minilm.doctor.watching import shares
from minilm.records import Array

__all__ = ["Facts"]

MODAL = (nn.Dropout, nn.Dropout1d, nn.modules.batchnorm._BatchNorm)


class Facts:
    """Answers about a module, looked up anew each time: a loop may change it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def table(self) -> nn.Embedding | None:
        """The first embedding."""
        return next((part for part in self.model.modules() if isinstance(part, nn.Embedding)), None)

    @property
    def table_name(self) -> str | None:
        """The name of its parameter."""
        table = self.table
        return next(
            (name for name, weight in self.model.named_parameters() if table and weight is table.weight), None
        )

    @property
    def modal(self) -> bool:
        """Whether train mode and evaluation mode compute different things."""
        parts = self.model.modules()
        return any(isinstance(part, MODAL) and getattr(part, "p", 1) > 0 for part in parts)

    def vocab_size(self, outputs: Any) -> int:
        """V: the rows of the embedding, else the last axis of the outputs."""
        return outputs.shape[-1] if self.table is None else self.table.num_embeddings

    def norms(self) -> dict[str, float]:
        """Norms of the gradients that are there now, by parameter."""
        held = [
            (name, weight.grad) for name, weight in self.model.named_parameters() if weight.grad is not None
        ]
        if not held:
            return {}
        gradients = [gradient.coalesce().values() if gradient.is_sparse else gradient for _, gradient in held]
        norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
        return shares((name for name, _ in held), norms.tolist())

    def gates(self, ids: Array) -> dict[str, float]:
        """Saturation of the first LSTM's gates on ids (B, T), where it reads the embedding."""
        lstm: Any = next((part for part in self.model.modules() if isinstance(part, nn.LSTM)), None)
        table = self.table
        if lstm is None or table is None or lstm.input_size != table.embedding_dim:
            return {}
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0 if lstm.bias else torch.zeros(4 * lstm.hidden_size)
        found = {"kernel": lstm.weight_ih_l0.T, "recurrent": lstm.weight_hh_l0.T, "bias": bias}
        found["embedding"] = table.weight
        return saturation(ids, {name: part.detach().cpu().numpy() for name, part in found.items()})

    def absent(self, optimizer: Any) -> dict[str, str]:
        """Parameters that can get no update, and why."""
        if optimizer is None:
            return {}
        given = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        reasons = {}
        for name, weight in self.model.named_parameters():
            if not weight.requires_grad:
                reasons[name] = "its requires_grad is False"
            elif id(weight) not in given:
                reasons[name] = "the optimizer was not given it"
        return reasons
