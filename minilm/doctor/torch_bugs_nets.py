"""Mistakes in the net, in PyTorch: what it is built of, how it begins, the mode that it is left in.

Each class is read beside torch_loop.Loop, of which it changes one method; its check stands in BUGS.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.doctor.rows import VOCAB_SIZE
from minilm.doctor.torch_loop import Loop, Net

__all__ = ["BUGS"]


class FutureVisible(Loop):
    """The LSTM reads in both directions."""

    def model(self) -> nn.Module:
        net = Net()
        net.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)
        return net


class StateKept(Loop):
    """The model itself keeps its state."""

    class Net(Net):
        """A net with a memory."""

        def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
            logits, state = super().forward(ids, getattr(self, "state", None))
            self.state = tuple(part.detach() for part in state)
            return logits, state

    def model(self) -> nn.Module:
        return self.Net()


class SaturatedGates(Loop):
    """The LSTM's first weights are thirty times too large."""

    def model(self) -> nn.Module:
        net = Net()
        with torch.no_grad():
            for parameter in net.lstm.parameters():
                parameter *= 30
        return net


class DeadToken(Loop):
    """padding_idx names a word."""

    def model(self) -> nn.Module:
        net = Net()
        net.embedding = nn.Embedding(VOCAB_SIZE, 16, padding_idx=1)
        return net


class ExplodingNorms(Loop):
    """A recurrent layer without gates, whose weights let the gradient grow."""

    def model(self) -> nn.Module:
        net = Net()
        net.lstm = nn.RNN(16, 24, nonlinearity="relu", batch_first=True)
        with torch.no_grad():
            net.lstm.weight_hh_l0.copy_(torch.eye(24) * 4)
            net.head.weight *= 0.01
        return net


class VanishingNorms(Loop):
    """Twelve sigmoid layers between the LSTM and the head."""

    class Net(Net):
        """A net that is too deep."""

        def __init__(self) -> None:
            super().__init__()
            layers = [part for _ in range(12) for part in (nn.Linear(24, 24), nn.Sigmoid())]
            self.head = nn.Sequential(*layers, nn.Linear(24, VOCAB_SIZE))

    def model(self) -> nn.Module:
        return self.Net()


class EvaluationMode(Loop):
    """The net stays in evaluation mode, so its dropout never works."""

    def model(self) -> nn.Module:
        return Net(dropout=0.3).eval()


class TestedInTraining(Loop):
    """The net is tested in train mode."""

    def model(self) -> nn.Module:
        return Net(dropout=0.3)

    def update(self, loss: Tensor) -> None:
        super().update(loss)
        with torch.no_grad():
            self.read(self.cut(self.batch(1000))[0])


class DropoutAlways(Loop):
    """The dropout does not ask for the mode."""

    class Net(Net):
        """functional.dropout without self.training."""

        def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
            outputs, state = self.lstm(self.embedding(ids), state)
            return self.head(functional.dropout(outputs, 0.3)), state

    def model(self) -> nn.Module:
        return self.Net()


class SoftmaxTwice(Loop):
    """The net ends in a softmax, and cross_entropy takes another."""

    def model(self) -> nn.Module:
        net = Net()
        net.head = nn.Sequential(nn.Linear(24, VOCAB_SIZE), nn.Softmax(-1))
        return net


class FrozenEmbedding(Loop):
    """The embedding needs no gradient."""

    def model(self) -> nn.Module:
        net = Net()
        net.embedding.weight.requires_grad_(False)
        return net


class DetachedEmbedding(Loop):
    """The embedding's output is cut from the graph."""

    class Net(Net):
        """Detached."""

        def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
            outputs, state = self.lstm(self.embedding(ids).detach(), state)
            return self.head(outputs), state

    def model(self) -> nn.Module:
        return self.Net()


class SoftmaxOverTime(Loop):
    """A log-softmax over the positions."""

    def model(self) -> nn.Module:
        net = Net()
        net.head = nn.Sequential(nn.Linear(24, VOCAB_SIZE), nn.LogSoftmax(dim=1))
        return net

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.nll_loss(logits.flatten(0, 1), targets.flatten(), ignore_index=0)


class BatchNotFirst(Loop):
    """batch_first is forgotten: the LSTM runs from row to row."""

    def model(self) -> nn.Module:
        net = Net()
        net.lstm = nn.LSTM(16, 24)
        return net


BUGS: dict[type[Loop], str] = {  # the mistake -> the check that must find it, and no other
    FutureVisible: "future_visible",
    StateKept: "state_leaking",
    SaturatedGates: "saturated_gates",
    DeadToken: "dead_tokens",
    ExplodingNorms: "exploding_norms",
    VanishingNorms: "vanishing_norms",
    EvaluationMode: "modes_mixed",
    TestedInTraining: "modes_mixed",
    DropoutAlways: "modes_mixed",
    SoftmaxTwice: "softmax_twice",
    FrozenEmbedding: "frozen_embedding",
    DetachedEmbedding: "frozen_embedding",
    SoftmaxOverTime: "wrong_dimension",
    BatchNotFirst: "wrong_dimension",
}
