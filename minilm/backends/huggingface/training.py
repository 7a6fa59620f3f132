"""A transformers model under minilm's training protocol: gradients and update apart, Adam from torch.

Arrays go by the model's own parameter names, a tied one under its first. The model's own dropout stays off,
so that a step is a pure function of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.backends.checks import check_batch
from minilm.backends.huggingface.files import save_net
from minilm.backends.huggingface.inner import array
from minilm.backends.huggingface.model import HuggingFaceReader
from minilm.backends.numpy.adam import clip_factor
from minilm.errors import MinilmError
from minilm.records import Array, Gradients, ModelConfig, OptimizerConfig
from minilm.weights import LazyArrays

__all__ = ["HuggingFaceModel"]


class HuggingFaceModel(HuggingFaceReader):
    """A transformers model that minilm can read, look into and train.

    config: its sizes in minilm's words, and the optimizer that update() uses; dropout is 0.
    """

    def __init__(
        self, net: Any, name: str, *, seed: int = 0, optimizer: OptimizerConfig | None = None
    ) -> None:
        super().__init__(net, name)
        sizes = net.config.get_text_config(decoder=True)
        self.config = ModelConfig(
            vocab_size=self.vocab_size,
            embedding_size=self.embedding_size,
            hidden_size=int(sizes.hidden_size),
            layers=int(sizes.num_hidden_layers),
            seed=seed,
            optimizer=optimizer or OptimizerConfig(),
        )
        self._parameters: dict[str, Tensor] = dict(net.named_parameters())
        betas = self.config.optimizer.beta1, self.config.optimizer.beta2
        self._adam = torch.optim.Adam(
            list(self._parameters.values()), betas=betas, eps=self.config.optimizer.epsilon, fused=True
        )

    def save(self, folder: str | Path) -> None:
        """Write the model as save_pretrained does; the folder opens wherever transformers is."""
        save_net(self.net, Path(folder))

    def weights(self) -> Mapping[str, Array]:
        """Views of the weights by the model's own names, valid until the next update or restore."""
        return LazyArrays(self._parameters, _view)

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Forward only: the loss of every target, (B, T) nats, 0 where masked out."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        with torch.inference_mode():
            return array(self._losses(inputs, targets, mask))

    def _losses(self, inputs: Array, targets: Array, mask: Array) -> Tensor:
        self._check_context(inputs.shape[1])
        # without an attention mask: a padded target is masked out, and no earlier token sees it
        logits = self.net(input_ids=self._tensor(inputs), use_cache=False, return_dict=True).logits
        wanted = self._tensor(targets).flatten()
        losses = functional.cross_entropy(logits.flatten(0, 1), wanted, reduction="none")
        return losses.view(inputs.shape) * self._tensor(mask).to(losses.dtype)

    def _tensor(self, values: Any) -> Tensor:
        return torch.tensor(np.asarray(values), device=self.net.device)

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward over a batch (B, T).

        denominator: what the summed loss is divided by, the number of unmasked targets unless given;
        dropout: must be None, minilm's masks are for LSTM layers and this model trains without.
        """
        if dropout is not None:
            raise MinilmError("A transformers model is trained without dropout; set dropout to 0")
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, None, denominator)
        losses = self._losses(inputs, targets, mask)
        loss = losses.sum() / count
        found = torch.autograd.grad(loss, list(self._parameters.values()), materialize_grads=True)
        native = dict(zip(self._parameters, found, strict=True))
        return Gradients(loss.item(), array(losses), LazyArrays(native, _view), native)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One step of torch.optim.Adam; clip bounds the global norm first. Returns the clip factor."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {n: self._tensor(gradients.arrays[n]).to(p.dtype) for n, p in self._parameters.items()}
        tensors = [native[name] for name in self._parameters]
        norm = 0.0 if clip is None else nn.utils.get_total_norm(tensors).item()
        factor = clip_factor(norm, clip)
        for parameter, gradient in zip(self._parameters.values(), tensors, strict=True):
            parameter.grad = gradient if factor == 1 else gradient * factor
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Copies of the weights, the moments (`adam.m.NAME`, `adam.v.NAME`) and `adam.step`: a value."""
        arrays, step = {}, 0
        for name, parameter in self._parameters.items():
            moments = self._adam.state.get(parameter, {})
            nothing = torch.zeros_like(parameter)
            arrays[name] = array(parameter.detach().clone())
            arrays[f"adam.m.{name}"] = array(moments.get("exp_avg", nothing).clone())
            arrays[f"adam.v.{name}"] = array(moments.get("exp_avg_sq", nothing).clone())
            step = int(moments.get("step", 0))
        return arrays | {"adam.step": np.array(step)}

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back; weights alone are enough, moments then start at 0."""
        for name, parameter in self._parameters.items():
            got = np.shape(arrays[name]) if name in arrays else "none"
            if got != tuple(parameter.shape):
                raise MinilmError(f"Weight {name} must have shape {tuple(parameter.shape)}, got {got}")
        step = float(arrays.get("adam.step", 0))
        for name, parameter in self._parameters.items():
            parameter.copy_(self._tensor(arrays[name]))
            moments = {}
            for key, letter in (("exp_avg", "m"), ("exp_avg_sq", "v")):
                kept = arrays.get(f"adam.{letter}.{name}")
                moments[key] = torch.zeros_like(parameter)
                if kept is not None:
                    moments[key].copy_(self._tensor(kept))
            self._adam.state[parameter] = moments | {"step": torch.tensor(step, device=parameter.device)}


def _view(name: str, tensor: Tensor) -> Array:
    return array(tensor)
