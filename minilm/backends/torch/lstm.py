"""The LSTM language model in PyTorch: the net of net.py behind minilm's protocols, in NumPy.

Read it beside tensorflow/lstm.py, which has the same functions in the same order. Tensors stay PyTorch's own,
on their device; NumPy views are made only of what somebody looks at. Everything runs eagerly.
PyTorch takes 0.9 s to import, so this file is imported only when its name is asked for.
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
from minilm.backends.gates import recompute_layers
from minilm.backends.numpy.adam import clip_factor
from minilm.backends.torch.net import Net, canonical_view, find_device, name_parameters, swap_kernel, view
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig, Reading
from minilm.weights import LazyArrays

__all__ = ["TorchLSTM", "create"]


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> TorchLSTM:
    """Create the model.

    Args:
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
        device: "cpu", "cuda" or another device of PyTorch (with :N for one of several).
        weights: canonical arrays to begin with; None draws the first weights from the seed.

    Raises:
        MinilmError: the config, the dtype, the device or the weights cannot be used.
    """
    check_config(config)
    weights = canonical.initial_weights(config, check_dtype(dtype)) if weights is None else weights
    return TorchLSTM(config, check_dtype(dtype), find_device(device), weights)


class TorchLSTM:
    """The net behind the protocols Trainable, Inspectable and Attributable."""

    name = "torch"
    context_size = None

    def __init__(
        self, config: ModelConfig, dtype: str, where: torch.device, weights: Mapping[str, Array]
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, str(where)
        self.vocab_size, self.embedding_size = config.vocab_size, config.embedding_size
        self._where, self._dtype = where, getattr(torch, dtype)
        # On the meta device a tensor has a shape and no numbers. So PyTorch draws no first weights, and its
        # random generator, which the user may rely on, stays where it was.
        with torch.device("meta"):
            self.net = Net(config)
        self.net.to_empty(device=where).to(self._dtype)
        self._parameters = name_parameters(self.net)
        # fused: one call for all parameters instead of a Python loop over them
        self._adam = torch.optim.Adam(
            list(self._parameters.values()),
            betas=(config.optimizer.beta1, config.optimizer.beta2),
            eps=config.optimizer.epsilon,
            fused=True,
        )
        self._ends = self.net.embedding.weight, self.net.head.weight, self.net.head.bias
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self._cells = [[getattr(layer, name) for name in names] for layer in self.net.layers]
        self._zeros = (torch.zeros(1, config.hidden_size, device=where, dtype=self._dtype),) * 2
        self.restore(weights)

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; see LanguageModel. The state is (h, c) of each layer, tensors (1, 1, H)."""
        every, inner = check_rows(rows), check_inner(inner, self.config.layers)
        tokens = torch.from_numpy(check_ids(ids, self.vocab_size)).to(self._where)
        check_state(state, self.config.layers, (1, 1, self.config.hidden_size))
        if len(tokens) == 1 and not inner:
            return self._read_one(tokens, state)
        # inference_mode records nothing for a backward pass: quicker than no_grad, but the tensors made in it
        # can never take part in one
        with torch.inference_mode():
            embeddings = self.net.embedding(tokens[None])  # (1, T, E)
            outputs, after = self.net(embeddings, state)
            top = outputs[-1] if every else outputs[-1][:, -1:]  # (1, T, H) or (1, 1, H)
            logits = self.net.head(top)[0]
        shown = self._inside(inner, [embeddings, *outputs], state) if inner else {}
        return Reading(view(logits), view(embeddings[0]), tuple(after), shown)

    @torch.inference_mode()
    def _read_one(self, token: Tensor, state: Any) -> Reading:
        """Read one id (1,) with the cell itself: half the cost of calling nn.LSTM for one step."""
        table, kernel, bias = self._ends
        values = embeddings = functional.embedding(token, table)  # (1, E)
        after = []
        for number, weights in enumerate(self._cells):
            before = (part[0] for part in state[number]) if state else self._zeros
            hidden, cell = torch.lstm_cell(values, tuple(before), *weights)  # (1, H) each
            after.append((hidden[None], cell[None]))
            values = hidden
        logits = functional.linear(values, kernel, bias)  # (1, V)
        return Reading(view(logits), view(embeddings), tuple(after), {})

    def _inside(self, names: Sequence[str], values: list[Tensor], state: Any) -> dict[str, Array]:
        """Return the named gates, cells and hidden states, which a fused LSTM layer keeps to itself."""
        zeros = np.zeros(self.config.hidden_size, self.dtype)
        before = [(zeros, zeros)] * self.config.layers
        if state is not None:
            before = [(view(hidden[0, 0]), view(cell[0, 0])) for hidden, cell in state]
        return recompute_layers(names, self.weights(), [view(value[0]) for value in values], before)

    def embedding_table(self) -> Array:
        """Return all embeddings, (V, E), as a read-only view."""
        return view(self.net.embedding.weight)

    def head(self) -> tuple[Array, Array]:
        """Return the output layer, kernel (H, V) and bias (V,), as read-only views."""
        return view(self.net.head.weight.T), view(self.net.head.bias)

    def weights(self) -> Mapping[str, Array]:
        """Return read-only views of the canonical arrays, which hold until the next update or restore."""
        return LazyArrays(self._parameters, canonical_view)

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target, (B, T) nats; see Trainable."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        with torch.inference_mode():
            return view(self._losses(inputs, targets, mask, None))

    def _losses(self, inputs: Array, targets: Array, mask: Array, dropout: Sequence[Array] | None) -> Tensor:
        tokens, wanted = self._tensor(inputs), self._tensor(targets)
        masks = None if dropout is None else [self._tensor(part, self._dtype) for part in dropout]
        outputs, _ = self.net(self.net.embedding(tokens), dropout=masks)
        logits = self.net.head(outputs[-1])  # (B, T, V)
        # loss = -ln softmax(logits)[target]; "none" because its own mean would count the padding
        losses = functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none")  # (B T,)
        return losses.view(tokens.shape) * self._tensor(mask, self._dtype)

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Run forward and backward over a batch; see Trainable. An array is made when it is looked at."""
        inputs, targets, mask, count = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        # backward() adds to the .grad of a parameter, so last step's must go first. None, and not zeros: the
        # record of last step's gradients still holds those tensors.
        self.net.zero_grad(set_to_none=True)
        losses = self._losses(inputs, targets, mask, dropout)
        loss = losses.sum() / count
        loss.backward()
        native = {name: parameter.grad for name, parameter in self._parameters.items()}
        return Gradients(loss.item(), view(losses), LazyArrays(native, canonical_view), native)

    def update(self, gradients: Gradients, rate: float, clip: float | None = None) -> float:
        """Make one Adam step on PyTorch's own tensors, and return the clip factor; see Trainable."""
        native = gradients.native
        if not isinstance(native, dict):
            native = {n: self._tensor(swap_kernel(n, gradients.arrays[n])) for n in self._parameters}
        tensors = [native[name] for name in self._parameters]
        norm = 0.0 if clip is None else nn.utils.get_total_norm(tensors).item()
        factor = clip_factor(norm, clip)
        # new tensors, where clip_grad_norm_ would change those of the record
        if factor != 1:
            tensors = [tensor * factor for tensor in tensors]
        for parameter, gradient in zip(self._parameters.values(), tensors, strict=True):
            parameter.grad = gradient
        # m_t = beta1 * m_{t-1} + (1 - beta1) * g_t
        # v_t = beta2 * v_{t-1} + (1 - beta2) * g_t^2
        # w_t = w_{t-1} - rate * (m_t / (1 - beta1^t)) / (sqrt(v_t / (1 - beta2^t)) + epsilon)
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        return factor

    def snapshot(self) -> dict[str, Array]:
        """Return copies of weights, moments and update count; see Trainable."""
        arrays = {name: array.copy() for name, array in self.weights().items()}
        for letter, key in (("m", "exp_avg"), ("v", "exp_avg_sq")):
            for name, parameter in self._parameters.items():
                moment = self._adam.state[parameter][key]
                arrays[f"adam.{letter}.{name}"] = canonical_view(name, moment).copy()
        step = next(iter(self._adam.state.values()))["step"]
        return arrays | {"adam.step": np.array(int(step))}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a snapshot, or to weights alone; see Trainable."""
        canonical.check_weights(self.config, arrays)
        for name, parameter in self._parameters.items():
            zeros = np.zeros_like(arrays[name])
            first, second = (arrays.get(f"adam.{letter}.{name}", zeros) for letter in "mv")
            # a parameter that gradients flow to must not be written to where PyTorch records
            with torch.no_grad():
                parameter.copy_(self._tensor(swap_kernel(name, arrays[name])))
            self._adam.state[parameter] = {
                "step": torch.tensor(float(arrays.get("adam.step", 0)), device=self._where),
                "exp_avg": self._tensor(swap_kernel(name, first), self._dtype),
                "exp_avg_sq": self._tensor(swap_kernel(name, second), self._dtype),
            }

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """Return a value of the prediction and its gradient (T, E) at the embeddings; see Attributable."""
        check_against(target, against, of, self.vocab_size)
        tokens = self._tensor(check_ids(ids, self.vocab_size))
        # detach() makes the embeddings a beginning of the graph, whose gradient can be asked for
        values = (self.net.embedding.weight.detach()[tokens][None] * scale).requires_grad_()
        outputs, _ = self.net(values)
        scores = self.net.head(outputs[-1][0, -1])  # (V,)
        scores = scores.log_softmax(-1) if of == "logp" else scores
        value = scores[target] if against is None else scores[target] - scores[against]
        # autograd.grad hands the gradient over, and adds nothing to the .grad of the parameters
        (gradient,) = torch.autograd.grad(value, values)
        return value.item(), view(gradient[0])

    def _tensor(self, array: Any, dtype: torch.dtype | None = None) -> Tensor:
        """Return a tensor on the model's device, of this dtype, or of the array's where none is given."""
        # fused Adam requires that a moment lies in memory as its parameter does: row by row
        own = np.array(array, order="C")
        return torch.as_tensor(own, dtype=dtype, device=self._where)
