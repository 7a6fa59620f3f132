"""A transformers model behind the protocol Trainable, with torch.optim.Adam.

Arrays have the model's own parameter names; a tied parameter has its first name only. The model's own dropout
stays off, so that a step is a pure function of the batch.
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
    """A transformers model that minilm can read, inspect and train.

    Attributes:
        config: its sizes, and the optimizer that update() uses; dropout is 0.
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
        """Write the model into a folder that transformers can open, as save_pretrained does."""
        save_net(self.net, Path(folder))

    def weights(self) -> Mapping[str, Array]:
        """Return read-only views of the weights, which hold until the next update or restore."""
        return LazyArrays(self._parameters, _view)

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target, (B, T) nats; see Trainable."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        with torch.inference_mode():
            return array(self._losses(inputs, targets, mask))

    def _losses(self, inputs: Array, targets: Array, mask: Array) -> Tensor:
        self._check_context(inputs.shape[1])
        # No attention mask: padding comes last, where no earlier token sees it, and its own loss is masked.
        logits = self.net(input_ids=self._tensor(inputs), use_cache=False, return_dict=True).logits
        wanted = self._tensor(targets).flatten()
        # loss = -ln softmax(logits)[target]; "none" because its own mean would count the padding
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
        """Run forward and backward over a batch; see Trainable. An array is made when it is looked at.

        Raises:
            MinilmError: dropout is not None; minilm's masks are for LSTM layers.
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
        """Make one Adam step on PyTorch's own tensors, and return the clip factor; see Trainable."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {n: self._tensor(gradients.arrays[n]).to(p.dtype) for n, p in self._parameters.items()}
        tensors = [native[name] for name in self._parameters]
        norm = 0.0 if clip is None else nn.utils.get_total_norm(tensors).item()
        factor = clip_factor(norm, clip)
        for parameter, gradient in zip(self._parameters.values(), tensors, strict=True):
            parameter.grad = gradient if factor == 1 else gradient * factor
        # the formula of this step is written out in numpy/adam.py
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        self._adam.zero_grad()
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Return copies of weights, moments and update count; see Trainable."""
        arrays, step = {}, 0
        for name, parameter in self._parameters.items():
            moments = self._adam.state.get(parameter, {})
            # torch's Adam makes its moments at the first update; before that they are 0
            zeros = torch.zeros_like(parameter)
            arrays[name] = array(parameter.detach().clone())
            arrays[f"adam.m.{name}"] = array(moments.get("exp_avg", zeros).clone())
            arrays[f"adam.v.{name}"] = array(moments.get("exp_avg_sq", zeros).clone())
            step = int(moments.get("step", 0))
        return arrays | {"adam.step": np.array(step)}

    @torch.no_grad()
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a snapshot, or to weights alone; see Trainable."""
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
