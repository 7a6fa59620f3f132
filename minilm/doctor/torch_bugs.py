"""The bug museum's mistakes in PyTorch: the right loop with one method changed, one class per check.

The name of a class's check stands in BUGS; each class is read beside torch_loop.Loop.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.doctor.rows import VOCAB_SIZE
from minilm.doctor.torch_loop import Loop, Net

__all__ = ["BUGS"]


class TargetsNotShifted(Loop):
    """Each id is its own target."""

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows."""

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return ids[:, :-1], ids[:, 1:].roll(1, dims=0)


class FutureVisible(Loop):
    """The LSTM reads in both directions."""

    def model(self) -> nn.Module:
        net = Net()
        net.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True)
        return net


class PaddingCounted(Loop):
    """The loss does not know the padding."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class PaddingDivides(Loop):
    """The padding's losses are 0, but they are counted in the mean."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * (targets.flatten() != 0)).mean()


class StateLeaking(Loop):
    """The state of the batch before is handed on to other texts."""

    def read(self, inputs: Tensor) -> Tensor:
        logits, state = self.net(inputs, getattr(self, "state", None))
        self.state = tuple(part.detach() for part in state)
        return logits


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


class LossSummed(Loop):
    """The loss is a sum, not a mean."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"
        )


class ClipAfterUpdate(Loop):
    """Clipped when the update is done."""

    def update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.1)


class ClipPerParameter(Loop):
    """Every parameter is clipped alone."""

    def update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        for parameter in self.net.parameters():
            nn.utils.clip_grad_norm_(parameter, 0.05)
        self.optimizer.step()


class GradientsNotZeroed(Loop):
    """zero_grad is forgotten."""

    def update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimizer.step()


class HeadForgotten(Loop):
    """The optimizer is not given the head."""

    def adam(self) -> Any:
        return torch.optim.Adam([*self.net.embedding.parameters(), *self.net.lstm.parameters()], lr=self.rate)


class StepForgotten(Loop):
    """optimizer.step() is never called."""

    def update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()


class ZeroedTooLate(Loop):
    """The gradients are zeroed between backward and step."""

    def update(self, loss: Tensor) -> None:
        loss.backward()
        self.optimizer.zero_grad(set_to_none=False)
        self.optimizer.step()


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


class IgnoredWord(Loop):
    """ignore_index names a word; the padding is masked out by hand."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        hidden = torch.where(targets == 10, 0, targets)
        return super().loss(logits, hidden)


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


class RateTooHigh(Loop):
    """Adam at a rate of 1."""

    rate = 1.0


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


class ViewForTranspose(Loop):
    """The logits are reshaped to (B, V, T), not transposed."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        batch, length, vocab_size = logits.shape
        return functional.cross_entropy(logits.reshape(batch, vocab_size, length), targets, ignore_index=0)


class BatchNotFirst(Loop):
    """batch_first is forgotten: the LSTM runs from row to row."""

    def model(self) -> nn.Module:
        net = Net()
        net.lstm = nn.LSTM(16, 24)
        return net


class OrderRepeated(Loop):
    """Six batches, in the same order every epoch."""

    def batch(self, step: int) -> Tensor:
        return super().batch(step % 6)


class EmptyMask(Loop):
    """From the fifth step on a mask is empty, and the loss divided by nothing."""

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        self.seen = getattr(self, "seen", 0) + 1
        return (ids[:, :-1], ids[:, 1:]) if self.seen < 5 else (ids[:, :-1], ids[:, 1:] * 0)


BUGS: dict[type[Loop], str] = {  # the mistake -> the check that must find it, and no other
    TargetsNotShifted: "targets_not_shifted",
    ShuffledTargets: "shuffled_targets",
    FutureVisible: "future_visible",
    PaddingCounted: "padding_counted",
    PaddingDivides: "padding_counted",
    StateLeaking: "state_leaking",
    StateKept: "state_leaking",
    LossSummed: "loss_at_start",
    ClipAfterUpdate: "clipping_misplaced",
    ClipPerParameter: "clipping_misplaced",
    GradientsNotZeroed: "gradients_not_zeroed",
    HeadForgotten: "parameters_never_move",
    StepForgotten: "parameters_never_move",
    ZeroedTooLate: "parameters_never_move",
    SaturatedGates: "saturated_gates",
    DeadToken: "dead_tokens",
    IgnoredWord: "dead_tokens",
    ExplodingNorms: "exploding_norms",
    VanishingNorms: "vanishing_norms",
    RateTooHigh: "rate_too_high",
    EvaluationMode: "modes_mixed",
    TestedInTraining: "modes_mixed",
    DropoutAlways: "modes_mixed",
    SoftmaxTwice: "softmax_twice",
    FrozenEmbedding: "frozen_embedding",
    DetachedEmbedding: "frozen_embedding",
    SoftmaxOverTime: "wrong_dimension",
    ViewForTranspose: "wrong_dimension",
    BatchNotFirst: "wrong_dimension",
    OrderRepeated: "order_repeated",
    EmptyMask: "non_finite",
}
