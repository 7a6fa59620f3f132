"""How the doctor observes a PyTorch step: what its hooks see becomes one observation.

What a step did is read from the gradients three times: as backward left them, as the update used them, and
as they are before the next forward pass. attach.py installs the hooks, and keeps their errors from the loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minilm.doctor.batch import (
    LossCall,
    digest_batch,
    has_details,
    measure_embedding_changes,
    measure_step,
    name_kind,
    share_continued,
    without_outputs,
)
from minilm.doctor.records import Observation, StepDetails
from minilm.doctor.run import combine_norms
from minilm.doctor.torch.facts import Facts, as_array
from minilm.doctor.watching import Watching, order_axes
from minilm.records import Array

__all__ = ["Watch"]

# Names of arguments that hold the ids, and of arguments that never do.
IDS, TARGETS = ("input_ids", "idx", "ids", "tokens", "x", "inputs"), ("label", "target", "mask", "length")


@dataclass
class _Call:
    """One call of the model in training.

    Attributes:
        ids: (B, T) or (B,), what it read.
        args: Its positional arguments.
        options: Its named arguments.
        source: The tensor among the arguments that holds the ids.
        logits: Its outputs; None where they are not kept, or not found.
        gradients: The gradients at the outputs, filled by backward.
        states: The other tensors that it answered, for example an LSTM's state.
    """

    ids: Array
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    source: Tensor
    logits: Tensor | None = None
    gradients: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)


class Watch:
    """What is known of the step that is running.

    Args:
        model: The model to watch; None to take the outermost modules that are called before the first
            backward pass, if one of them reads ids.
        optimizer: The optimizer to watch; None to watch every optimizer that has the model's parameters.
        watching: Where the observations go.
    """

    def __init__(self, model: nn.Module | None, optimizer: Any, watching: Watching) -> None:
        self.model: Any = model
        self.parts: list[nn.Module] = [] if model is None else [model]
        self.is_given = model is not None
        self.optimizers: list[Any] = [] if optimizer is None else [optimizer]
        self.watching = watching
        # Steps seen here, from 1; steps that the optimizer had made before; modules that are being called.
        self.step, self.earlier_steps, self.depth = 1, 0, 0
        # The calls of the model since the last backward pass, and the loss function's call.
        self.calls: list[_Call] = []
        self.loss_call: LossCall | None = None
        self.last_call: _Call | None = None
        # The losses of the backward passes of this step; the factor of a GradScaler.
        self.losses: list[float] = []
        self.all_losses, self.scale = 0, 1.0
        self.raw: dict[str, float] = {}
        self.used: dict[str, float] = {}
        self.after: dict[str, float] | None = None
        # The parameters before the update, where they are kept.
        self.before: dict[str, Tensor] = {}
        self.leftover, self.rate = 0.0, None
        self.known_size = 0
        # Was the gradient zeroed since backward? Was the update made? Which parameters were updated last?
        self.zeroed = self.updated = self.clipped_early = self.clipped = False
        self.updated_names: set[str] | None = None
        self.tested_in_training = self.carried = False
        self.training = True
        self.continues: float | None = None
        self.last_details: StepDetails | None = None

    @property
    def facts(self) -> Facts:
        """What is known of the model; read again each time, because a loop may change it."""
        return Facts(self.model)

    # Hooks, in the order in which a step calls them.

    def before_forward(self, module: nn.Module, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
        """Begin a call of the model: finish the last step, and keep what the model reads.

        Returns:
            True where the answer of this call is wanted.
        """
        if self.is_given:
            wanted = module is self.model
        else:
            wanted = self.depth == 1 and self._is_part(module, args, options)
        if not wanted:
            return False
        self.complete_step()
        if not torch.is_grad_enabled():
            self.tested_in_training |= module.training and self.facts.modal
            return False
        source = _find_ids(args, options)
        if source is None:
            # A later part of a net in several parts: its outputs belong to the ids of the first part.
            return bool(self.calls) and module is not self.parts[0]
        if self.calls and self.calls[-1].gradients:
            self.calls = []
        ids = _as_ids(source)
        given = [one for one in _tensors((args, options)) if one is not source and one.is_floating_point()]
        self.training = module.training
        if not self.calls:
            last = [] if self.last_call is None else self.last_call.states
            self.carried = any(_was_answered(one, last) for one in given)
            self.continues, self.last_details = share_continued(self.last_details, ids), None
        self.calls.append(_Call(ids, args, dict(options), source))
        return True

    def after_forward(self, outputs: Any) -> None:
        """Keep the logits, and catch the gradient at them, on steps with details."""
        call = self.last_call = self.calls[-1]
        tensors = [one for one in _tensors(outputs) if one.is_floating_point()]
        logits = _find_logits(tensors, outputs, call.ids, self.facts.vocab_size)
        call.states = [one for one in tensors if one is not logits]
        if logits is not None and logits.requires_grad and has_details(self.step):
            call.logits = logits.detach().clone()
            # A net in several parts answers several times; only the last answer's gradient counts.
            gradients: list[Tensor] = []
            call.gradients = gradients
            logits.register_hook(lambda gradient: gradients.append(gradient.detach().clone()))

    def saw_loss(self, takes: str, given: Tensor, targets: Tensor) -> None:
        """Keep what a loss function was given, on steps with details.

        Args:
            takes: What the function expects.
            given: Its input: (N, V) or (N, V, ...).
            targets: Its targets.
        """
        if not self.calls or not torch.is_grad_enabled() or not has_details(self.step):
            return
        ids = None if targets.is_floating_point() else targets.detach().cpu().numpy()
        axis = 1 if given.ndim > 1 else 0
        self.loss_call = LossCall(takes, name_kind(as_array(given), axis), ids)

    def before_backward(self, accumulates: bool = True) -> None:
        """Keep the norm of the gradients that were not zeroed since the last update.

        Args:
            accumulates: False where the gradients are returned, not added to those that are there.
        """
        if self.model is None or not self.calls:
            return
        if self.zeroed:
            self.losses, self.zeroed = [], False
        if self.updated_names is not None:
            norms = self.facts.norms() if accumulates else {}
            self.leftover = combine_norms({name: norms.get(name, 0) for name in self.updated_names})
            self.updated_names = None
        if not self.optimizers and not self.before:
            # The weights may be updated by hand.
            self.before = self.facts.copy_weights()

    def after_backward(self, loss: float, gradients: Mapping[int, Tensor] | None = None) -> None:
        """Keep the loss, and the gradients as backward left them.

        Args:
            loss: The number that was differentiated.
            gradients: The gradients by id of the parameter; None where they are in `grad`.
        """
        if self.model is None or not self.calls:
            return
        self.losses.append(loss / self.scale)
        self.all_losses += 1
        norms = self.facts.norms(gradients)
        self.raw = {name: norm / self.scale for name, norm in norms.items()}

    def saw_clip(self) -> None:
        """Keep whether a clip came before backward, when there is nothing to clip."""
        if self.losses and not self.updated:
            self.clipped = True
        elif not self.updated:
            self.clipped_early = True

    def before_step(self, optimizer: Any) -> None:
        """Keep the gradients as the update uses them, and on steps with details the parameters."""
        names = self.facts.names_in(optimizer) if self.model is not None else set()
        if not names:
            return
        if optimizer not in self.optimizers:
            self.optimizers.append(optimizer)
        if self.step == 1 and not self.updated:
            # The optimizer may have made steps before it was watched.
            counts = (int(state.get("step", 0)) for state in optimizer.state.values())
            self.earlier_steps = max(counts, default=0)
        norms = self.facts.norms()
        self.used |= {name: norm for name, norm in norms.items() if name in names}
        self.rate = max(float(group["lr"]) for group in optimizer.param_groups)
        if has_details(self.step) and not self.updated:
            self.before = self.facts.copy_weights()

    def after_step(self, optimizer: Any, has_closure: bool) -> None:
        """Note that the update was made; the step goes on, because another optimizer may follow.

        Args:
            optimizer: The optimizer that made it.
            has_closure: True where the optimizer itself ran forward and backward.
        """
        names = self.facts.names_in(optimizer) if self.model is not None else set()
        if not names or not self.losses:
            return
        if has_closure:
            self.used = {name: norm for name, norm in self.facts.norms().items() if name in names}
            self.raw |= self.used
        self.updated = True
        self.updated_names = (self.updated_names or set()) | names

    def before_zero(self) -> None:
        """Keep the gradients of the last step, which are about to be lost."""
        if self.updated and self.after is None:
            self.after = self.facts.norms()
        elif self.losses:
            self.zeroed = True

    def complete_step(self) -> None:
        """Record the last step, if an update was made."""
        if self.model is None or not self.losses:
            return
        if not self.updated and not self.optimizers and self._was_moved_by_hand():
            self.updated, self.used = True, self.raw
        if not self.updated:
            return
        after = self.facts.norms() if self.after is None else self.after
        if not self.optimizers or after == self.used:
            after = None
        self._record(after=after)

    def end(self) -> None:
        """Record the last step, or that no update was ever made, and probe the model."""
        limit, self.watching.limit = self.watching.limit, None
        self.complete_step()
        if self.all_losses > 1 and self.step == 1 and self.losses:
            reason = "optimizer.step() is never called"
            self.before = {}
            self._record(absent={name: reason for name, _ in self.model.named_parameters()})
        self.watching.limit = limit
        if self.model is not None and self.last_call is not None and self.step > 1:
            self.probe(self.last_call)

    # Measurements.

    def _is_part(self, module: nn.Module, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
        """Return True for an outermost module of the net; until the first backward pass, new ones join it."""
        if any(module is one for one in self.parts):
            return True
        if self.all_losses or not torch.is_grad_enabled():
            return False
        if not any(weight.requires_grad for weight in module.parameters()):
            return False
        if not self.parts and _find_ids(args, options) is None:
            return False
        self.parts.append(module)
        self.model = module if len(self.parts) == 1 else nn.ModuleList(self.parts)
        return True

    def _was_moved_by_hand(self) -> bool:
        """Return True where a weight has changed since backward, although no optimizer was seen."""
        now = dict(self.model.named_parameters())
        return any(not torch.equal(now[name].detach(), old) for name, old in self.before.items())

    def _record(self, **fields: Any) -> None:
        """Add the observation of the step, and begin the next one."""
        look, unseen = None, ""
        if has_details(self.step) and self.before:
            look, unseen = self.watching.guard(self.measure) or (None, self.watching.failure)
        optimizer = self.optimizers[0] if self.optimizers else None
        facts = self.facts
        observation = Observation(**{
            "step": self.earlier_steps + self.step,
            "loss": sum(self.losses),
            "vocab_size": self.vocab_size,
            "batch": digest_batch(self.calls[-1].ids),
            "raw": self.raw,
            "used": self.used or self.raw,
            "leftover": self.leftover,
            "training": self.training,
            "modal": facts.modal,
            "tested_in_training": self.tested_in_training,
            "carried": self.carried,
            "continues": self.continues,
            "rate": self.rate,
            "optimizer": type(optimizer).__name__ if optimizer else "",
            "embedding": facts.embedding_name,
            "absent": facts.absent(self.optimizers),
            "look": look,
            "frozen": facts.frozen,
            "passes": len(self.losses),
            "sliced": False,
            "clipped_early": self.clipped_early and not self.clipped,
            "unseen": unseen,
            **fields,
        })  # fmt: skip
        self.losses, self.used, self.before, self.after = [], {}, {}, None
        self.loss_call, self.leftover, self.scale = None, 0.0, 1.0
        self.zeroed = self.updated = self.clipped = self.clipped_early = self.tested_in_training = False
        self.step += 1
        self.watching.add(observation)

    def measure(self) -> tuple[StepDetails, str]:
        """Return the details of the step, and why its outputs could not be read ("" where they were)."""
        before, after = self.before, dict(self.model.named_parameters())
        after = {name: after[name].detach().float() for name in before if name in after}
        measured: dict[str, Any] = {
            "updates": {name: float((new - before[name].float()).norm()) for name, new in after.items()},
            "sizes": {name: float(weight.float().norm()) for name, weight in before.items()},
        }
        ids, logits, gradient = _join(self.calls)
        vocab_size = self.vocab_size
        outputs = None if logits is None else order_axes(ids, as_array(logits), vocab_size)
        slopes = None if gradient is None else order_axes(ids, as_array(gradient), vocab_size)
        table = self.facts.embedding_name
        if table in after:
            tables = before[table].float().cpu().numpy(), after[table].cpu().numpy()
            measured["moved"] = measure_embedding_changes(ids, *tables)
        if ids.ndim == 2:
            measured["gates"] = self.facts.saturation(ids)
        if outputs is None or slopes is None or logits is None:
            reason = (
                "no outputs (B, T, V) were found" if logits is None else f"the net answers {_shape(logits)}"
            )
            return without_outputs(**measured), reason
        if outputs.shape[:2] != ids.shape:
            # The net answers once per row: (B, 1, V), for the row's last id.
            ids = ids.reshape(len(ids), -1)[:, -1:]
        precision = 1e-3 if logits.dtype in (torch.float32, torch.float64) else 3e-2
        scaled = slopes / self.scale
        self.last_details = measure_step(
            ids, outputs, scaled, self.losses[-1], self.loss_call, precision, **measured
        )
        return self.last_details, ""

    @property
    def vocab_size(self) -> int:
        """The last axis of the logits, or the number of embeddings; 2 where neither is known yet."""
        call, size = self.last_call, self.facts.vocab_size
        if call is not None and call.logits is not None:
            shape = tuple(call.logits.shape)
            is_row = call.ids.ndim == 2 and shape[:2] == call.ids.shape and len(shape) == 3
            self.known_size = shape[-1] if is_row or not size else size
        return self.known_size or size or 2

    def probe(self, call: _Call) -> None:
        """Probe the model in evaluation mode; its modes and the random numbers are restored."""
        modes = [(part, part.training) for part in self.model.modules()]
        size = self.vocab_size

        def read(ids: Array) -> Array:
            with torch.no_grad():
                args, options = _replace(
                    (call.args, dict(call.options)), call.source, _as_source(ids, call.source)
                )
                answer = self.model(*args, **options)
            tensors = [one for one in _tensors(answer) if one.is_floating_point()]
            outputs: Any = _find_logits(tensors, answer, ids, size)
            return order_axes(ids, as_array(outputs), size)  # type: ignore[return-value]

        half = any(weight.dtype in (torch.float16, torch.bfloat16) for weight in self.model.parameters())
        if len(self.parts) > 1 or call.ids.ndim != 2:
            several = len(self.parts) > 1
            self.watching.cannot_probe(
                f"the net {'has several parts' if several else 'reads one id at a time'}"
            )
            return
        with torch.random.fork_rng():
            try:
                # No call of eval(): a student's net may have a method `train` of its own.
                for part, _ in modes:
                    part.training = False
                self.watching.probe(
                    read, call.ids, size, lambda: torch.manual_seed(0) and None, 2e-2 if half else 1e-4
                )
            finally:
                for part, training in modes:
                    part.training = training


def _find_ids(args: tuple[Any, ...], options: Mapping[str, Any]) -> Tensor | None:
    """Return the first argument that holds ids (B, T) or (B,), or one-hot rows (B, T, V)."""
    named = sorted(options.items(), key=lambda item: item[0] not in IDS)
    values = [*args, *(value for name, value in named if not any(word in name for word in TARGETS))]
    tensors = [one for one in _tensors(values) if one.numel()]
    whole = [one for one in tensors if not one.is_floating_point() and one.dtype != torch.bool]
    for axes in (2, 1):
        for tensor in whole:
            if tensor.ndim == axes:
                return tensor
    return next((one for one in tensors if _is_one_hot(one)), None)


def _is_one_hot(tensor: Tensor) -> bool:
    """Return True for rows (B, T, V) of zeros with a single 1."""
    if tensor.ndim != 3 or tensor.shape[-1] < 3 or not tensor.is_floating_point():
        return False
    values = tensor.detach()
    return bool(((values == 0) | (values == 1)).all()) and bool((values.sum(-1) == 1).all())


def _as_ids(source: Tensor) -> Array:
    """Return the ids of a tensor of ids, or of one-hot rows."""
    values = source.detach()
    return (values.argmax(-1) if values.ndim == 3 else values).cpu().numpy()


def _as_source(ids: Array, source: Tensor) -> Tensor:
    """Return ids in the form of `source`: whole numbers, or one-hot rows."""
    tensor = torch.from_numpy(ids.copy()).to(source.device)
    if source.ndim == 3:
        return nn.functional.one_hot(tensor.long(), source.shape[-1]).to(source.dtype)
    return tensor.to(source.dtype)


def _find_logits(tensors: list[Tensor], outputs: Any, ids: Array, vocab_size: int | None) -> Tensor | None:
    """Return the tensor of an answer that has one vector of V numbers for each id, or for each row."""
    named = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    if isinstance(named, Tensor):
        return named
    ids = ids if ids.ndim == 2 else ids[:, None]
    for tensor in tensors:
        shape = tuple(tensor.shape)
        if len(shape) == 3 and shape[:2] == ids.shape:
            return tensor
        if vocab_size and order_axes(ids, np.empty(shape, np.bool_), vocab_size) is not None:
            return tensor
    return next((one for one in tensors if one.ndim == 2 and len(one) == len(ids)), None)


def _join(calls: list[_Call]) -> tuple[Array, Tensor | None, Tensor | None]:
    """Return ids, outputs and gradients of the calls before one backward; a loop over time has several."""
    call = calls[-1]
    seen = [one for one in calls if one.logits is not None and one.gradients]
    if (call.ids.ndim == 2 and call.ids.shape[1] > 1) or len(seen) < 2:
        gradient = call.gradients[-1] if call.gradients else None
        ids = call.ids if call.ids.ndim == 2 else call.ids[:, None]
        return ids, call.logits, gradient
    ids = np.stack([one.ids.reshape(-1) for one in seen], 1)
    logits = [one.logits.reshape(len(ids), -1) for one in seen if one.logits is not None]
    gradients = [one.gradients[-1].reshape(len(ids), -1) for one in seen]
    return ids, torch.stack(logits, 1), torch.stack(gradients, 1)


def _was_answered(given: Tensor, answered: list[Tensor]) -> bool:
    """Return True where a state that is not zero equals one that the model answered at the last step."""
    if not bool((given != 0).any()):
        return False
    return any(one.shape == given.shape and torch.equal(one.detach(), given.detach()) for one in answered)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _replace(values: Any, old: Tensor, new: Tensor) -> Any:
    """Return nested arguments with one tensor replaced by another."""
    if values is old:
        return new
    if isinstance(values, dict):
        return {name: _replace(value, old, new) for name, value in values.items()}
    if type(values) in (tuple, list):
        return type(values)(_replace(value, old, new) for value in values)
    return values


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yield every tensor of nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, tuple | list):
        for part in values:
            yield from _tensors(part)
    elif hasattr(values, "__dataclass_fields__"):
        yield from _tensors([getattr(values, name) for name in values.__dataclass_fields__])
