"""The LSTM language model in PyTorch: the NumPy face of the net in torch_net.py.

Tensors stay native, on their device; NumPy views are made only of what is looked at. torch takes
0.9 s to import, so this file is imported only when its name is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm import weights as canonical
from minilm.backends.checks import (
    check_against,
    check_batch,
    check_dtype,
    check_ids,
    check_inner,
    check_rows,
    check_state,
)
from minilm.backends.gates import layers_inside
from minilm.backends.lazy_arrays import LazyArrays
from minilm.backends.numpy.adam import clip_factor
from minilm.backends.torch.net import (
    Net,
    canonical_view,
    device_named,
    parameters_by_name,
    turned,
    view,
)
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig, Reading

__all__ = ["TorchLSTM", "create"]


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> TorchLSTM:
    """The model with the given canonical weights, or the seeded initial ones, on a device of torch."""
    check_config(config)
    weights = canonical.initial(config, check_dtype(dtype)) if weights is None else weights
    return TorchLSTM(config, check_dtype(dtype), device_named(device), weights)


class TorchLSTM:
    """The net's NumPy face; satisfies Trainable, Inspectable and Attributable."""

    name = "torch"
    context_size = None

    def __init__(
        self, config: ModelConfig, dtype: str, device: torch.device, weights: Mapping[str, Array]
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, str(device)
        self.vocab_size, self.embedding_size = config.vocab_size, config.embedding_size
        with torch.device("meta"):  # no numbers are drawn: torch's generator stays as it was
            self.net = Net(config)
        self.net.to_empty(device=device).to(getattr(torch, dtype))
        self._parameters = parameters_by_name(self.net)
        self._where, self._kind = device, getattr(torch, dtype)
        self._ends = self.net.embedding.weight, self.net.head.weight, self.net.head.bias
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self._cells = [[getattr(layer, name) for name in names] for layer in self.net.layers]
        self._nothing = (torch.zeros(1, config.hidden_size, device=device, dtype=self._kind),) * 2
        self._adam = torch.optim.Adam(
            list(self._parameters.values()),
            betas=(config.optimizer.beta1, config.optimizer.beta2),
            eps=config.optimizer.epsilon,
            fused=True,
        )
        self.restore(weights)

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; the state is torch's own (h, c) of each layer."""
        every, inner = check_rows(rows), check_inner(inner, self.config.layers)
        tokens = torch.from_numpy(check_ids(ids, self.vocab_size)).to(self._where)
        check_state(state, self.config.layers, (1, 1, self.config.hidden_size))
        if len(tokens) == 1 and not inner:
            return self._read_one(tokens, state)
        with torch.inference_mode():
            embeddings = self.net.embedding(tokens[None])  # (1, T, E)
            outputs, after = self.net(embeddings, state)
            top = outputs[-1] if every else outputs[-1][:, -1:]
            logits = self.net.head(top)[0]
        shown = self._inside(inner, [embeddings, *outputs], state) if inner else {}
        return Reading(view(logits), view(embeddings[0]), tuple(after), shown)

    @torch.inference_mode()
    def _read_one(self, token: Tensor, state: Any) -> Reading:
        """One id (1,): the cell itself, which costs half of what nn.LSTM's call over a time of 1 does."""
        table, kernel, bias = self._ends
        values = embeddings = functional.embedding(token, table)  # (1, E)
        after = []
        for number, weights in enumerate(self._cells):
            before = (part[0] for part in state[number]) if state else self._nothing
            hidden, cell = torch.lstm_cell(values, tuple(before), *weights)  # (1, H) each
            after.append((hidden[None], cell[None]))
            values = hidden
        logits = functional.linear(values, kernel, bias)
        return Reading(view(logits), view(embeddings), tuple(after), {})

    def _inside(self, names: Sequence[str], values: list[Tensor], state: Any) -> dict[str, Array]:
        nothing = np.zeros(self.config.hidden_size, self.dtype)
        before = [(nothing, nothing)] * self.config.layers
        if state is not None:
            before = [(view(hidden[0, 0]), view(cell[0, 0])) for hidden, cell in state]
        return layers_inside(names, self.weights(), [view(value[0]) for value in values], before)

    def embedding_table(self) -> Array:
        """All embeddings, (V, E), a read-only view."""
        return view(self.net.embedding.weight)

    def head(self) -> tuple[Array, Array]:
        """The output layer, (H, V) and (V,), read-only views."""
        return view(self.net.head.weight.T), view(self.net.head.bias)

    def weights(self) -> Mapping[str, Array]:
        """Read-only views of the canonical arrays, valid until the next update or restore."""
        return LazyArrays(self._parameters, canonical_view)

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """The loss of every target, (B, T) nats, 0 where masked out; forward only."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        with torch.inference_mode():
            return view(self._losses(inputs, targets, mask, None))

    def _losses(self, inputs: Array, targets: Array, mask: Array, dropout: Sequence[Array] | None) -> Tensor:
        tokens, wanted = self._tensor(inputs), self._tensor(targets)
        masks = None if dropout is None else [self._tensor(part, self._kind) for part in dropout]
        outputs, _ = self.net(self.net.embedding(tokens), dropout=masks)
        logits = self.net.head(outputs[-1])  # (B, T, V)
        losses = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")
        return losses.view(tokens.shape) * self._tensor(mask, self._kind)

    def _tensor(self, array: Any, kind: torch.dtype | None = None) -> Tensor:
        own = np.array(array, order="C")  # fused Adam takes for granted that moments lie like their parameter
        return torch.as_tensor(own, dtype=kind, device=self._where)

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward by autograd; the arrays are made when they are looked at."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        self.net.zero_grad(set_to_none=True)
        losses = self._losses(inputs, targets, mask, dropout)
        loss = losses.sum() / count
        loss.backward()
        native = {name: parameter.grad for name, parameter in self._parameters.items()}
        return Gradients(loss.item(), view(losses), LazyArrays(native, canonical_view), native)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """One step of torch.optim.Adam on torch's own tensors, clipped first; returns the clip factor."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {name: self._tensor(turned(name, gradients.arrays[name])) for name in self._parameters}
        tensors = [native[name] for name in self._parameters]
        norm = 0.0 if clip is None else nn.utils.get_total_norm(tensors).item()
        factor = clip_factor(norm, clip)
        if factor != 1:
            tensors = [tensor * factor for tensor in tensors]
        for parameter, gradient in zip(self._parameters.values(), tensors, strict=True):
            parameter.grad = gradient
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Copies of weights, moments and update count."""
        arrays = {name: array.copy() for name, array in self.weights().items()}
        for letter, key in (("m", "exp_avg"), ("v", "exp_avg_sq")):
            for name, parameter in self._parameters.items():
                arrays[f"adam.{letter}.{name}"] = canonical_view(
                    name, self._adam.state[parameter][key]
                ).copy()
        step = next(iter(self._adam.state.values()))["step"]
        return arrays | {"adam.step": np.array(int(step))}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take a snapshot back, or weights alone: moments then start at 0."""
        canonical.check(self.config, arrays)
        for name, parameter in self._parameters.items():
            nothing = np.zeros_like(arrays[name])
            first, second = (arrays.get(f"adam.{letter}.{name}", nothing) for letter in "mv")
            with torch.no_grad():
                parameter.copy_(self._tensor(turned(name, arrays[name])))
            self._adam.state[parameter] = {
                "step": torch.tensor(float(arrays.get("adam.step", 0)), device=self._where),
                "exp_avg": self._tensor(turned(name, first), self._kind),
                "exp_avg_sq": self._tensor(turned(name, second), self._kind),
            }

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """Value and gradient (T, E) at the embeddings times `scale`; see Attributable."""
        check_against(target, against, of, self.vocab_size)
        tokens = self._tensor(check_ids(ids, self.vocab_size))
        embeddings = (self.net.embedding.weight.detach()[tokens][None] * scale).requires_grad_()
        outputs, _ = self.net(embeddings)
        scores = self.net.head(outputs[-1][0, -1])
        scores = scores.log_softmax(-1) if of == "logp" else scores
        value = scores[target] if against is None else scores[target] - scores[against]
        (gradient,) = torch.autograd.grad(value, embeddings)
        return value.item(), view(gradient[0])
