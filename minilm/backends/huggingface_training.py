"""A transformers model under minilm's training protocol: gradients and update apart, Adam from torch.

Arrays go by the model's own parameter names, a tied one under its first. Its own dropout stays off, so that a
step is a pure function of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from minilm.backends.huggingface_inner import array
from minilm.backends.huggingface_model import HuggingFaceReader
from minilm.errors import MinilmError
from minilm.records import Array, Gradients, ModelConfig, OptimizerConfig

__all__ = ["HuggingFaceModel"]


class _Arrays(Mapping[str, Array]):
    """Tensors by name that become NumPy only when looked at."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return array(self._tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class HuggingFaceModel(HuggingFaceReader):
    """A transformers model that minilm can read, look into and train.

    config: its sizes in minilm's words; dropout is 0 and `optimizer` is what update() uses.
    """

    def __init__(
        self, net: Any, name: str, *, seed: int = 0, optimizer: OptimizerConfig | None = None
    ) -> None:
        super().__init__(net, name)
        sizes = net.config.get_text_config(decoder=True)
        self.config = ModelConfig(
            self.vocab_size,
            self.embedding_size,
            int(sizes.hidden_size),
            int(sizes.num_hidden_layers),
            seed=seed,
            optimizer=optimizer or OptimizerConfig(),
        )
        self._parameters = dict(net.named_parameters())
        self._adam: torch.optim.Adam | None = None

    @property
    def _optimizer(self) -> torch.optim.Adam:
        if self._adam is None:
            o = self.config.optimizer
            self._adam = torch.optim.Adam(
                self._parameters.values(), betas=(o.beta1, o.beta2), eps=o.epsilon, foreach=True
            )
        return self._adam

    def weights(self) -> Mapping[str, Array]:
        """Views of the weights by the model's own names, valid until the next update or restore."""
        return _Arrays(self._parameters)

    def _losses(self, inputs: Array, targets: Array, mask: Array) -> torch.Tensor:
        if not np.any(mask):
            raise MinilmError("Every target of this batch is masked out; give at least one to learn from")
        for row in (inputs, targets):
            self._checked(np.ravel(row)[: self.context_size], 0)
        if self.context_size is not None and np.shape(inputs)[1] > self.context_size:
            raise MinilmError(
                f"{self.name} reads at most {self.context_size} tokens (its context), got a batch of"
                f" {np.shape(inputs)[1]}; make --length smaller"
            )
        device = self.net.device
        ids = torch.tensor(np.asarray(inputs), dtype=torch.long, device=device)  # (B, T)
        logits = self.net(input_ids=ids, use_cache=False, return_dict=True).logits  # (B, T, V)
        wanted = torch.tensor(np.asarray(targets), dtype=torch.long, device=device)
        losses = cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none").view(ids.shape)
        return losses * torch.tensor(np.asarray(mask), dtype=losses.dtype, device=device)

    @torch.inference_mode()
    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Forward only: the loss of every target, (B, T) nats, 0 where masked out."""
        return array(self._losses(inputs, targets, mask))

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward over a batch (B, T); the loss is divided by `denominator` or the unmasked count.

        dropout must be None: minilm's masks are for LSTM layers, and this model trains without.
        """
        if dropout:
            raise MinilmError("A transformers model trains here without dropout; set dropout to 0")
        losses = self._losses(inputs, targets, mask)
        loss = losses.sum() / (denominator or float(np.sum(mask)))
        found = torch.autograd.grad(loss, list(self._parameters.values()), materialize_grads=True)
        native = dict(zip(self._parameters, found, strict=True))
        return Gradients(float(loss.detach()), array(losses), _Arrays(native), native)

    @torch.no_grad()
    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One step of torch.optim.Adam; clip bounds the global norm first. Returns the clip factor."""
        native = gradients.native or {n: torch.tensor(a) for n, a in gradients.arrays.items()}
        factor = 1.0
        if clip is not None:
            norms = torch._foreach_norm(list(native.values()))
            norm = float(torch.linalg.vector_norm(torch.stack(norms).double()))
            factor = min(1.0, clip / norm) if norm else 1.0
        for name, parameter in self._parameters.items():
            gradient = native[name].to(parameter.device, parameter.dtype)
            parameter.grad = gradient * factor if factor < 1 else gradient
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        return factor

    def snapshot(self) -> Mapping[str, Array]:
        """Copies of the weights, the moments (`adam.m.NAME`, `adam.v.NAME`) and `adam.step`."""
        kept: dict[str, Any] = dict(self._parameters)
        step = 0.0
        for name, parameter in self._parameters.items():
            moments = self._optimizer.state.get(parameter)
            kept[f"adam.m.{name}"] = moments["exp_avg"] if moments else torch.zeros_like(parameter)
            kept[f"adam.v.{name}"] = moments["exp_avg_sq"] if moments else torch.zeros_like(parameter)
            step = float(moments["step"]) if moments else step
        copies = {name: array(tensor.detach().clone()) for name, tensor in kept.items()}
        return copies | {"adam.step": array(torch.tensor(int(step)))}

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back; weights alone are enough, moments then start at 0."""
        for name, parameter in self._parameters.items():
            if name not in arrays or np.shape(arrays[name]) != tuple(parameter.shape):
                got = np.shape(arrays[name]) if name in arrays else "nothing"
                raise MinilmError(f"Weight {name} must have shape {tuple(parameter.shape)}, got {got}")
        self._optimizer.state.clear()
        for name, parameter in self._parameters.items():
            parameter.copy_(torch.tensor(arrays[name]))
            if f"adam.m.{name}" in arrays and int(arrays["adam.step"]):
                like = {"dtype": parameter.dtype, "device": parameter.device}
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(arrays["adam.step"])),
                    "exp_avg": torch.tensor(arrays[f"adam.m.{name}"], **like),
                    "exp_avg_sq": torch.tensor(arrays[f"adam.v.{name}"], **like),
                }
