"""One small training loop in PyTorch, as it should be: the bug museum's mistakes are this loop, changed.

The data are made-up rows of unequal length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.doctor.rows import PAD, VOCAB_SIZE, rows

__all__ = ["Loop", "Net"]


class Net(nn.Module):
    """Ids (B, T) to logits (B, T, V) and the state after them."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, 16)
        self.lstm: Any = nn.LSTM(16, 24, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head: Any = nn.Linear(24, VOCAB_SIZE)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits (B, T, V), state."""
        outputs, state = self.lstm(self.embedding(ids), state)
        return self.head(self.dropout(outputs)), state


class Loop:
    """The loop without a mistake."""

    rate = 0.01

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net: Any = self.model()
        self.optimizer = self.adam()

    def model(self) -> nn.Module:
        """The net."""
        return Net()

    def adam(self) -> Any:
        """The optimizer."""
        return torch.optim.Adam(self.net.parameters(), lr=self.rate)

    def batch(self, step: int) -> Tensor:
        """The rows of a step, (B, T+1)."""
        return torch.from_numpy(rows(step))

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets, (B, T)."""
        return ids[:, :-1], ids[:, 1:]

    def read(self, inputs: Tensor) -> Tensor:
        """Logits (B, T, V)."""
        return self.net(inputs)[0]

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Nats per token."""
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)

    def update(self, loss: Tensor) -> None:
        """Backward, clip, step."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()

    def run(self, steps: int) -> Iterator[float]:
        """Train; yields the loss of every step."""
        for step in range(steps):
            inputs, targets = self.cut(self.batch(step))
            loss = self.loss(self.read(inputs), targets)
            self.update(loss)
            yield loss.item()
