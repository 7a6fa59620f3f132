"""Mistakes in the loop, in PyTorch: how ids become targets, the loss, the update, the order of the data.

Each class is read beside torch_loop.Loop, of which it changes one method; its check stands in BUGS.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.doctor.torch_loop import Loop

__all__ = ["BUGS"]


class TargetsNotShifted(Loop):
    """Each id is its own target."""

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows."""

    def cut(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return ids[:, :-1], ids[:, 1:].roll(1, dims=0)


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


class IgnoredWord(Loop):
    """ignore_index names a word; the padding is masked out by hand."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        hidden = torch.where(targets == 10, 0, targets)
        return super().loss(logits, hidden)


class RateTooHigh(Loop):
    """Adam at a rate of 1."""

    rate = 1.0


class ViewForTranspose(Loop):
    """The logits are reshaped to (B, V, T), not transposed."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        batch, length, vocab_size = logits.shape
        return functional.cross_entropy(logits.reshape(batch, vocab_size, length), targets, ignore_index=0)


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
    PaddingCounted: "padding_counted",
    PaddingDivides: "padding_counted",
    StateLeaking: "state_leaking",
    LossSummed: "loss_at_start",
    ClipAfterUpdate: "clipping_misplaced",
    ClipPerParameter: "clipping_misplaced",
    GradientsNotZeroed: "gradients_not_zeroed",
    HeadForgotten: "parameters_never_move",
    StepForgotten: "parameters_never_move",
    ZeroedTooLate: "parameters_never_move",
    IgnoredWord: "dead_tokens",
    RateTooHigh: "rate_too_high",
    ViewForTranspose: "wrong_dimension",
    OrderRepeated: "order_repeated",
    EmptyMask: "non_finite",
}
