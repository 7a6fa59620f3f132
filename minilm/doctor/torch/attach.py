"""Attach the doctor to a PyTorch loop: hooks on model and optimizer, while a `with` block runs.

The hooks change neither the loop nor any of its numbers, and an error of the doctor never reaches the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch
import torch.optim.optimizer as optimizers
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad

from minilm.doctor.torch.watch import Watch
from minilm.doctor.watching import Watching

__all__ = ["attach"]


@contextmanager
def attach(
    model: nn.Module | None = None, optimizer: Any = None, *, limit: int | None = None
) -> Iterator[Watching]:
    """Watch a training loop while the `with` block runs; at its end the model is probed.

    Args:
        model: A module that is called with ids (B, T) and answers with logits (B, T, V); None to find it at
            its first call.
        optimizer: Its optimizer; None to find it at its first step.
        limit: Number of steps after which Enough is raised; None for no limit.

    Yields:
        The records of the run.
    """
    watching = Watching(limit)
    watch = Watch(model, optimizer, watching)
    hooks = [
        optimizers.register_optimizer_step_pre_hook(
            lambda optimizer, args, options: watching.guard(watch.before_step, optimizer)
        ),
        optimizers.register_optimizer_step_post_hook(
            lambda optimizer, args, options: watching.guard(
                watch.after_step, optimizer, bool(len(args) > 1 or options.get("closure"))
            )
        ),
    ]
    with ExitStack() as stack:
        for where, name, replacement in _replacements(watch, watching):
            stack.enter_context(patch.object(where, name, replacement))
        try:
            yield watching
        finally:
            stack.close()
            for hook in hooks:
                hook.remove()
            watching.guard(watch.end)


def _replacements(watch: Watch, watching: Watching) -> Iterator[tuple[Any, str, Any]]:
    """Yield what PyTorch has no hooks for: the object, the name of its method, and the watched method."""
    yield nn.Module, "__call__", _watched_call(watch, watching)
    yield from _watched_backwards(watch, watching)
    for owner in (optimizers.Optimizer, nn.Module):
        yield owner, "zero_grad", _calling_first(owner.zero_grad, watching, watch.before_zero)
    for module in (clip_grad, nn.utils):
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            yield module, name, _calling_first(getattr(module, name), watching, watch.saw_clip)
    for name, takes in (("cross_entropy", "logits"), ("nll_loss", "log-probabilities")):
        yield nn.functional, name, _watched_loss(getattr(nn.functional, name), takes, watch, watching)
    scale = GradScaler.scale

    def watched_scale(self: Any, outputs: Any) -> Any:
        scaled = scale(self, outputs)
        watch.scale = float(self.get_scale()) if self.is_enabled() else 1.0
        return scaled

    yield GradScaler, "scale", watched_scale


def _watched_call(watch: Watch, watching: Watching) -> Callable[..., Any]:
    call = nn.Module.__call__

    def watched_call(self: nn.Module, *args: Any, **options: Any) -> Any:
        if torch.compiler.is_compiling():
            return call(self, *args, **options)
        watch.depth += 1
        try:
            wanted = watching.guard(watch.before_forward, self, args, options)
            outputs = call(self, *args, **options)
        finally:
            watch.depth -= 1
        if wanted:
            watching.guard(watch.after_forward, outputs)
        return outputs

    return watched_call


def _watched_backwards(watch: Watch, watching: Watching) -> Iterator[tuple[Any, str, Any]]:
    backward, backward_of_all, grad = Tensor.backward, torch.autograd.backward, torch.autograd.grad

    def total(losses: Any) -> float:
        values = [losses] if isinstance(losses, Tensor) else list(losses)
        return float(sum(value.detach().float().sum() for value in values))

    @wraps(backward)
    def watched_backward(loss: Tensor, *args: Any, **options: Any) -> None:
        watching.guard(watch.before_backward)
        with patch.object(torch.autograd, "backward", backward_of_all):
            backward(loss, *args, **options)
        watching.guard(lambda: watch.after_backward(total(loss)))

    @wraps(backward_of_all)
    def watched_backward_of_all(tensors: Any, *args: Any, **options: Any) -> None:
        watching.guard(watch.before_backward)
        backward_of_all(tensors, *args, **options)
        watching.guard(lambda: watch.after_backward(total(tensors)))

    @wraps(grad)
    def watched_grad(outputs: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        watching.guard(watch.before_backward, False)
        gradients = grad(outputs, sources, *args, **options)
        found = {id(one): gradient for one, gradient in zip(sources, gradients, strict=True)}
        if any(isinstance(one, nn.Parameter) for one in sources):
            watching.guard(lambda: watch.after_backward(total(outputs), found))
        return gradients

    yield Tensor, "backward", watched_backward
    yield torch.autograd, "backward", watched_backward_of_all
    yield torch.autograd, "grad", watched_grad


def _calling_first(method: Callable[..., Any], watching: Watching, hook: Callable[[], None]) -> Any:
    """Return a method that calls a hook and then does what it always did."""

    @wraps(method)
    def watched(*args: Any, **options: Any) -> Any:
        watching.guard(hook)
        return method(*args, **options)

    return watched


def _watched_loss(loss: Callable[..., Any], takes: str, watch: Watch, watching: Watching) -> Any:
    @wraps(loss)
    def watched_loss(input: Tensor, target: Tensor, *args: Any, **options: Any) -> Any:
        watching.guard(watch.saw_loss, takes, input, target)
        return loss(input, target, *args, **options)

    # torch.jit.script compiles the loss itself, not the function that watches it.
    made: Any = watched_loss
    made.__script_if_tracing_wrapper, made.__original_fn = True, loss
    return made
