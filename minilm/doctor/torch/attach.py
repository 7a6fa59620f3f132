"""Attach the doctor to a PyTorch loop: hooks on model and optimizer, while a `with` block runs.

The hooks change neither the loop nor any of its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.optim.optimizer as optimizers
from torch import Tensor, nn
from torch.nn.modules import module as modules

from minilm.doctor.torch.watch import Watch
from minilm.doctor.watching import Watching

__all__ = ["attach"]


@contextmanager
def attach(
    model: nn.Module | None = None, optimizer: Any = None, *, limit: int | None = None
) -> Iterator[Watching]:
    """Watch a training loop while the `with` block runs; at its end the model is probed.

    Args:
        model: A module that is called with ids (B, T) and answers with logits (B, T, V), alone or first in a
            tuple; None to find it at its first call.
        optimizer: Its optimizer; None to find it at its first step.
        limit: Number of steps after which Enough is raised; None for no limit.

    Yields:
        The records of the run.
    """
    watch = Watch(model, optimizer, Watching(limit))
    backward, zero, zero_all = Tensor.backward, optimizers.Optimizer.zero_grad, nn.Module.zero_grad

    def watched_backward(loss: Tensor, *args: Any, **options: Any) -> None:
        watch.before_backward()
        backward(loss, *args, **options)
        watch.after_backward(loss)

    def watched_zero(self: Any, *args: Any, **options: Any) -> None:
        # The gradients of the last step are about to be lost.
        watch.complete_step()
        method: Any = zero if isinstance(self, optimizers.Optimizer) else zero_all
        method(self, *args, **options)

    hooks = [
        modules.register_module_forward_pre_hook(watch.before_forward),
        modules.register_module_forward_hook(watch.after_forward),
        optimizers.register_optimizer_step_pre_hook(watch.before_step),
        optimizers.register_optimizer_step_post_hook(watch.after_step),
    ]
    # PyTorch has no hooks for backward and zero_grad, so the methods are replaced.
    Tensor.backward = watched_backward  # type: ignore[method-assign]
    optimizers.Optimizer.zero_grad = nn.Module.zero_grad = watched_zero  # type: ignore[method-assign]
    try:
        yield watch.watching
    finally:
        Tensor.backward = backward  # type: ignore[method-assign]
        optimizers.Optimizer.zero_grad, nn.Module.zero_grad = zero, zero_all  # type: ignore[method-assign]
        for hook in hooks:
            hook.remove()
        watch.end()
