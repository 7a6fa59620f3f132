"""What a PyTorch loop's hooks tell the doctor, put together to one observation a step.

What a step did is told by the gradients as backward left them, as the update met them, and as they stood
before the next forward pass; at the end the model is probed. Who hangs the hooks is torch_attach.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from minilm.doctor.batch import batch_digest, continuing, is_close, look_at, moved_rows
from minilm.doctor.records import Look, Observation
from minilm.doctor.run import total
from minilm.doctor.torch.facts import Facts
from minilm.doctor.watching import Watching, axes_of
from minilm.records import Array

__all__ = ["Watch"]


class Watch:
    """What is known of the step that is under way."""

    def __init__(self, model: nn.Module | None, optimizer: Any, watching: Watching) -> None:
        self.model: Any = model
        self.optimizer, self.watching = optimizer, watching
        self.step, self.begun, self.backwards = 1, 0, 0
        self.ids: Any = None  # (B, T), once the model was called
        self.logits: Any = None  # (B, T, V) of the same call
        self.slopes: list[Tensor] = []
        self.loss, self.leftover = float("nan"), 0.0
        self.raw: dict[str, float] = {}
        self.used: dict[str, float] = {}
        self.before: dict[str, Tensor] = {}
        self.pending: dict[str, Any] | None = None
        self.stepped = self.tested = self.carried = False
        self.continues: float | None = None
        self.last_look: Look | None = None
        self.arguments: tuple[Any, ...] = ()

    def before_forward(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A step begins: keep what the model reads, and finish the step before."""
        if self.model is None and _reads_ids(module, args) and torch.is_grad_enabled():
            self.model = module
        if module is not self.model or not args or not isinstance(args[0], Tensor):
            return
        self.complete()
        if not torch.is_grad_enabled():
            self.tested |= module.training and self.facts.modal
            return
        self.ids, self.arguments, self.logits, self.slopes = args[0].detach().cpu().numpy(), args, None, []
        self.carried = any(bool(part.any()) for part in _tensors(args[1:]) if part.is_floating_point())
        self.continues, self.last_look = continuing(self.last_look, self.ids), None

    def after_forward(self, module: nn.Module, args: Any, outputs: Any) -> None:
        """Close looks: keep the logits, and catch the gradient at them."""
        if module is not self.model or not torch.is_grad_enabled() or not is_close(self.step):
            return
        logits = next(_tensors(outputs), None)
        if logits is not None and logits.requires_grad:
            self.logits = logits.detach().clone()
            logits.register_hook(lambda slope: self.slopes.append(slope.detach().clone()))

    def before_backward(self) -> None:
        """Keep the norm of what was not zeroed since the update."""
        if self.model is not None and self.stepped:
            absent = self.facts.absent(self.optimizer)
            self.leftover = total(
                {name: norm for name, norm in self.facts.norms().items() if name not in absent}
            )
            self.stepped = False

    def after_backward(self, loss: Tensor) -> None:
        """Keep the loss and the gradients as backward left them."""
        if self.model is not None and self.ids is not None:
            self.loss, self.raw, self.backwards = loss.item(), self.facts.norms(), self.backwards + 1

    def before_step(self, optimizer: Any, args: Any, options: Any) -> None:
        """Keep the gradients as the update meets them."""
        if self.model is None or self.optimizer not in (None, optimizer):
            return
        if self.step == 1:  # its first step here need not be its first at all
            self.begun = max((int(held.get("step", 0)) for held in optimizer.state.values()), default=0)
        self.optimizer = optimizer
        self.used = self.facts.norms()
        if is_close(self.step):
            self.before = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    def after_step(self, optimizer: Any, args: Any, options: Any) -> None:
        """The step is done, but for what its loop makes of the gradients afterwards."""
        if self.model is None or optimizer is not self.optimizer or self.ids is None:
            return
        self.pending = self.seen() | {"look": self.look()}
        self.stepped, self.tested, self.leftover = True, False, 0.0
        self.step += 1

    def seen(self) -> dict[str, Any]:
        """The fields of an observation that need no close look."""
        rate: Any = self.optimizer.param_groups[0]["lr"] if self.optimizer else None
        return {
            "step": self.begun + self.step, "loss": self.loss, "vocab_size": self.vocab_size,
            "batch": batch_digest(self.ids), "raw": self.raw, "used": self.used or self.raw,
            "leftover": self.leftover, "training": self.model.training, "modal": self.facts.modal,
            "tested_in_training": self.tested, "carried": self.carried, "continues": self.continues,
            "rate": None if rate is None else float(rate),
            "optimizer": type(self.optimizer).__name__ if self.optimizer else "",
            "embedding": self.facts.table_name, "absent": self.facts.absent(self.optimizer),
        }  # fmt: skip

    def complete(self) -> None:
        """Keep the step that is done: what its gradients are now, its loop has made of them since."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            after = self.facts.norms()
            self.watching.add(Observation(**pending, after=after if after != pending["used"] else None))

    def end(self) -> None:
        """Keep the last step, or tell that there never was one, and probe the model."""
        limit, self.watching.limit = self.watching.limit, None
        self.complete()
        if self.backwards and self.step == 1 and self.ids is not None:
            reason = "optimizer.step() is never called"
            absent: Any = {name: reason for name, _ in self.model.named_parameters()}
            self.watching.add(Observation(**{**self.seen(), "absent": absent}))
        self.watching.limit = limit
        if self.model is not None and self.ids is not None:
            self.probe()

    def probe(self) -> None:
        """Ask the model, in evaluation mode, what it must not know; modes and generator are set back."""
        model, rest, place = self.model, self.arguments[1:], self.arguments[0].device
        modes = [(part, part.training) for part in model.modules()]

        def read(ids: Array) -> Array:
            with torch.no_grad():
                outputs = next(_tensors(model(torch.from_numpy(ids).to(place), *rest)))
            return axes_of(ids, outputs.double().cpu().numpy(), self.vocab_size)  # type: ignore[return-value]

        with torch.random.fork_rng():
            model.eval()
            self.watching.ask(read, self.ids, self.vocab_size, lambda: torch.manual_seed(0) and None)
        for part, training in modes:
            part.training = training

    def look(self) -> Look | None:
        """The close look at this step, or None."""
        outputs = None
        if self.before and self.logits is not None and self.slopes:
            outputs = axes_of(self.ids, self.logits.cpu().numpy(), self.vocab_size)
        if outputs is None:
            return None
        now = dict(self.model.named_parameters())
        changes = {name: float((now[name].detach() - old).norm()) for name, old in self.before.items()}
        sizes = {name: float(old.norm()) for name, old in self.before.items()}
        moved = ()
        if self.facts.table_name is not None:
            old, new = self.before[self.facts.table_name], now[self.facts.table_name].detach()
            moved = moved_rows(self.ids, old.cpu().numpy(), new.cpu().numpy())
        slope: Any = axes_of(self.ids, self.slopes[-1].cpu().numpy(), self.vocab_size)
        gates = self.facts.gates(self.ids)
        self.before, self.last_look = (
            {},
            look_at(
                self.ids, outputs, slope, self.loss, updates=changes, sizes=sizes, moved=moved, gates=gates
            ),
        )
        return self.last_look

    @property
    def facts(self) -> Facts:
        """What is known of the model; asked anew, for a loop may change it."""
        return Facts(self.model)

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, or the last axis of the logits."""
        return self.facts.vocab_size(self.logits)


def _reads_ids(module: nn.Module, args: tuple[Any, ...]) -> bool:
    if not args or not isinstance(args[0], Tensor) or args[0].ndim != 2 or args[0].is_floating_point():
        return False
    return not isinstance(module, nn.Embedding) and any(isinstance(m, nn.Embedding) for m in module.modules())


def _tensors(values: Any) -> Iterator[Tensor]:
    """Every tensor of a nested answer, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for part in values:
            yield from _tensors(part)
