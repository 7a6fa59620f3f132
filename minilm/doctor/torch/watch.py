"""How the doctor observes a PyTorch step: what its hooks see becomes one observation.

What a step did is read from the gradients three times: as backward left them, as the update used them, and
as they are before the next forward pass. attach.py installs the hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from minilm.doctor.batch import (
    digest_batch,
    has_details,
    measure_embedding_changes,
    measure_saturation,
    measure_step,
    share_continued,
)
from minilm.doctor.records import Observation, StepDetails
from minilm.doctor.run import global_norm
from minilm.doctor.watching import Watching, norms_by_name, order_axes
from minilm.records import Array

__all__ = ["Watch"]


class Watch:
    """What is known of the step that is running.

    Args:
        model: The model to watch; None to take the first module that is called with ids and has an embedding.
        optimizer: The optimizer to watch; None to take the first one that is used.
        watching: Where the observations go.
    """

    def __init__(self, model: nn.Module | None, optimizer: Any, watching: Watching) -> None:
        self.model: Any = model
        self.optimizer, self.watching = optimizer, watching
        # Steps seen here, from 1; steps that the optimizer had made before; calls of backward.
        self.step, self.earlier_steps, self.backwards = 1, 0, 0
        # (B, T), (B, T, V) and the gradient at the logits, of the last forward pass.
        self.ids: Any = None
        self.logits: Any = None
        self.logit_gradients: list[Tensor] = []
        self.loss, self.leftover = float("nan"), 0.0
        self.raw: dict[str, float] = {}
        self.used: dict[str, float] = {}
        # The parameters before the update, on steps with details.
        self.before: dict[str, Tensor] = {}
        # The fields of the last step's observation, until its `after` is known.
        self.pending: dict[str, Any] | None = None
        self.updated = self.tested_in_training = self.carried = False
        self.continues: float | None = None
        self.last_details: StepDetails | None = None
        self.arguments: tuple[Any, ...] = ()

    def before_forward(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Begin a step: finish the last one, and keep what the model reads."""
        if self.model is None and _reads_ids(module, args) and torch.is_grad_enabled():
            self.model = module
        if module is not self.model or not args or not isinstance(args[0], Tensor):
            return
        self.complete_step()
        if not torch.is_grad_enabled():
            self.tested_in_training |= module.training and self.facts.modal
            return
        self.ids, self.arguments = args[0].detach().cpu().numpy(), args
        self.logits, self.logit_gradients = None, []
        self.carried = any(bool(part.any()) for part in _tensors(args[1:]) if part.is_floating_point())
        self.continues, self.last_details = share_continued(self.last_details, self.ids), None

    def after_forward(self, module: nn.Module, args: Any, outputs: Any) -> None:
        """Keep the logits, and catch the gradient at them, on steps with details."""
        if module is not self.model or not torch.is_grad_enabled() or not has_details(self.step):
            return
        logits = next(_tensors(outputs), None)
        if logits is not None and logits.requires_grad:
            self.logits = logits.detach().clone()
            logits.register_hook(lambda gradient: self.logit_gradients.append(gradient.detach().clone()))

    def before_backward(self) -> None:
        """Keep the norm of the gradients that were not zeroed since the last update."""
        if self.model is not None and self.updated:
            absent = self.facts.absent(self.optimizer)
            self.leftover = global_norm(
                {name: norm for name, norm in self.facts.norms().items() if name not in absent}
            )
            self.updated = False

    def after_backward(self, loss: Tensor) -> None:
        """Keep the loss, and the gradients as backward left them."""
        if self.model is not None and self.ids is not None:
            self.loss, self.raw, self.backwards = loss.item(), self.facts.norms(), self.backwards + 1

    def before_step(self, optimizer: Any, args: Any, options: Any) -> None:
        """Keep the gradients as the update uses them, and on steps with details the parameters."""
        if self.model is None or self.optimizer not in (None, optimizer):
            return
        if self.step == 1:
            # The optimizer may have made steps before it was watched.
            counts = (int(state.get("step", 0)) for state in optimizer.state.values())
            self.earlier_steps = max(counts, default=0)
        self.optimizer = optimizer
        self.used = self.facts.norms()
        if has_details(self.step):
            self.before = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    def after_step(self, optimizer: Any, args: Any, options: Any) -> None:
        """Keep the step until the next one begins: the loop may still change its gradients."""
        if self.model is None or optimizer is not self.optimizer or self.ids is None:
            return
        self.pending = self.observed() | {"look": self.measure()}
        self.updated, self.tested_in_training, self.leftover = True, False, 0.0
        self.step += 1

    def observed(self) -> dict[str, Any]:
        """Return the fields of an observation, without details."""
        rate: Any = self.optimizer.param_groups[0]["lr"] if self.optimizer else None
        return {
            "step": self.earlier_steps + self.step,
            "loss": self.loss,
            "vocab_size": self.vocab_size,
            "batch": digest_batch(self.ids),
            "raw": self.raw,
            "used": self.used or self.raw,
            "leftover": self.leftover,
            "training": self.model.training,
            "modal": self.facts.modal,
            "tested_in_training": self.tested_in_training,
            "carried": self.carried,
            "continues": self.continues,
            "rate": None if rate is None else float(rate),
            "optimizer": type(self.optimizer).__name__ if self.optimizer else "",
            "embedding": self.facts.embedding_name,
            "absent": self.facts.absent(self.optimizer),
        }

    def complete_step(self) -> None:
        """Record the last step, with its gradients as they are now."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            after = self.facts.norms()
            self.watching.add(Observation(**pending, after=after if after != pending["used"] else None))

    def end(self) -> None:
        """Record the last step, or that no update was ever made, and probe the model."""
        limit, self.watching.limit = self.watching.limit, None
        self.complete_step()
        if self.backwards and self.step == 1 and self.ids is not None:
            reason = "optimizer.step() is never called"
            absent: Any = {name: reason for name, _ in self.model.named_parameters()}
            self.watching.add(Observation(**{**self.observed(), "absent": absent}))
        self.watching.limit = limit
        if self.model is not None and self.ids is not None:
            self.probe()

    def probe(self) -> None:
        """Probe the model in evaluation mode; its modes and the random numbers are restored."""
        model, other_arguments, device = self.model, self.arguments[1:], self.arguments[0].device
        modes = [(part, part.training) for part in model.modules()]

        def read(ids: Array) -> Array:
            with torch.no_grad():
                outputs = next(_tensors(model(torch.from_numpy(ids).to(device), *other_arguments)))
            return order_axes(ids, outputs.double().cpu().numpy(), self.vocab_size)  # type: ignore[return-value]

        with torch.random.fork_rng():
            model.eval()
            self.watching.probe(read, self.ids, self.vocab_size, lambda: torch.manual_seed(0) and None)
        for part, training in modes:
            part.training = training

    def measure(self) -> StepDetails | None:
        """Return the details of the step; None where it has none."""
        outputs = None
        if self.before and self.logits is not None and self.logit_gradients:
            outputs = order_axes(self.ids, self.logits.cpu().numpy(), self.vocab_size)
        if outputs is None:
            return None
        before, self.before = self.before, {}
        after = {name: weight.detach() for name, weight in self.model.named_parameters()}
        moved, table = (), self.facts.embedding_name
        if table is not None:
            moved = measure_embedding_changes(
                self.ids, before[table].cpu().numpy(), after[table].cpu().numpy()
            )
        gradient: Any = order_axes(self.ids, self.logit_gradients[-1].cpu().numpy(), self.vocab_size)
        self.last_details = measure_step(
            self.ids,
            outputs,
            gradient,
            self.loss,
            updates={name: float((after[name] - weight).norm()) for name, weight in before.items()},
            sizes={name: float(weight.norm()) for name, weight in before.items()},
            moved=moved,
            gates=self.facts.saturation(self.ids),
        )
        return self.last_details

    @property
    def facts(self) -> Facts:
        """What is known of the model; read again each time, because a loop may change it."""
        return Facts(self.model)

    @property
    def vocab_size(self) -> int:
        """The number of embeddings, or the last axis of the logits."""
        embedding = self.facts.embedding
        return self.logits.shape[-1] if embedding is None else embedding.num_embeddings


# Layers that compute different things in train mode and in evaluation mode.
MODAL = (nn.Dropout, nn.Dropout1d, nn.modules.batchnorm._BatchNorm)


class Facts:
    """What the doctor reads from a module: its embedding, its gates, its gradients."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @property
    def embedding(self) -> nn.Embedding | None:
        """The first embedding layer."""
        return next((part for part in self.model.modules() if isinstance(part, nn.Embedding)), None)

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

    def norms(self) -> dict[str, float]:
        """Return the norms of the present gradients by parameter."""
        named = [(name, weight.grad) for name, weight in self.model.named_parameters()]
        present = [(name, gradient) for name, gradient in named if gradient is not None]
        if not present:
            return {}
        values = [grad.coalesce().values() if grad.is_sparse else grad for _, grad in present]
        norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in values])
        return norms_by_name((name for name, _ in present), norms.tolist())

    def saturation(self, ids: Array) -> dict[str, float]:
        """Return the saturation of the first LSTM's gates on ids (B, T), where it reads the embedding."""
        lstm: Any = next((part for part in self.model.modules() if isinstance(part, nn.LSTM)), None)
        table = self.embedding
        if lstm is None or table is None or lstm.input_size != table.embedding_dim:
            return {}
        bias = lstm.bias_ih_l0 + lstm.bias_hh_l0 if lstm.bias else torch.zeros(4 * lstm.hidden_size)
        weights = {"kernel": lstm.weight_ih_l0.T, "recurrent": lstm.weight_hh_l0.T, "bias": bias}
        weights["embedding"] = table.weight
        return measure_saturation(ids, {name: part.detach().cpu().numpy() for name, part in weights.items()})

    def absent(self, optimizer: Any) -> dict[str, str]:
        """Return the parameters that cannot get an update, each with the reason."""
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


def _reads_ids(module: nn.Module, args: tuple[Any, ...]) -> bool:
    """Return True for a module that has an embedding and is called with ids (B, T)."""
    if not args or not isinstance(args[0], Tensor) or args[0].ndim != 2 or args[0].is_floating_point():
        return False
    return not isinstance(module, nn.Embedding) and any(isinstance(m, nn.Embedding) for m in module.modules())


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yield every tensor of nested tuples and lists, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for part in values:
            yield from _tensors(part)
