"""The torch net trained by several processes ("workers"), whose steps are those of one process.

Every worker is given the whole batch and all dropout masks, and reads its own rows of them. The loss and the
gradients are summed over all workers and divided by the number of tokens of all. So all workers make the same
calls and hold the same weights. torchrun starts and restarts the processes; this file does neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from minilm import weights as canonical
from minilm.backends.checks import check_batch, check_dtype
from minilm.backends.processes import LostWorkerError, Worker, this_worker
from minilm.backends.torch.lstm import TorchLSTM
from minilm.backends.torch.net import canonical_view, find_device, view
from minilm.errors import MinilmError, first_line
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig
from minilm.weights import LazyArrays

__all__ = ["DistributedLSTM", "all_equal", "create", "finish", "from_first"]

PATIENCE = timedelta(minutes=10)
"""The time that a worker waits for another one, which may be saving a checkpoint."""


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> DistributedLSTM:
    """Wait for all workers, and return this worker's model.

    The workers talk over gloo on the CPU and over NCCL on CUDA.

    Args:
        config: the sizes, and the seed of the first weights.
        dtype: "float32" or "float64".
        device: "cpu" or "cuda"; on CUDA each worker of a machine takes a GPU of its own.
        weights: canonical arrays to begin with; None draws the first weights from the seed.

    Raises:
        MinilmError: the workers do not meet, or the device or the model cannot be made.
    """
    check_config(config)
    worker, kind = this_worker(), device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise MinilmError(f"Several processes train on cpu or cuda, got {device!r}; use --device cpu")
    own = find_device(f"cuda:{worker.place}" if kind == "cuda" else "cpu")
    if not dist.is_initialized():
        if kind == "cuda":
            torch.cuda.set_device(own)
        try:
            dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise MinilmError(f"The workers do not meet ({_line(error)}); start with torchrun") from None
    weights = canonical.initial_weights(config, check_dtype(dtype)) if weights is None else weights
    return DistributedLSTM(config, check_dtype(dtype), own, weights, worker)


def from_first(number: int, device: str = "cpu") -> int:
    """Return the number (below 2**63) that worker 0 gives. Every worker must make this call."""
    sent = torch.tensor(number, device=device)
    with _name_lost_workers():
        dist.broadcast(sent, 0)
    return int(sent)


def all_equal(number: int, device: str = "cpu") -> bool:
    """Return True if all workers give the same number (below 2**63). Every worker must make this call."""
    # the largest of -number is minus the smallest number, so one reduction finds both ends
    extremes = torch.tensor([number, -number], device=device)
    with _name_lost_workers():
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
    return int(extremes[0]) == -int(extremes[1])


def finish() -> None:
    """Wait for the other workers at the end of a run, and leave the group.

    A worker that is already gone does no harm here: there is nothing left to compute.
    """
    with suppress(RuntimeError):
        dist.barrier()
        dist.destroy_process_group()


class _Losses(nn.Module):
    """The module that DistributedDataParallel wraps: the net, and the function that computes its losses."""

    def __init__(self, net: nn.Module, losses: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self._losses = net, losses

    def forward(
        self, inputs: Array, targets: Array, mask: Array, dropout: Sequence[Array] | None
    ) -> Tensor:  # (B, T)
        return self._losses(inputs, targets, mask, dropout)


class DistributedLSTM(TorchLSTM):
    """A TorchLSTM that several workers train together.

    gradients() and losses() wait until all workers have called them.
    """

    def __init__(
        self,
        config: ModelConfig,
        dtype: str,
        device: torch.device,
        weights: Mapping[str, Array],
        worker: Worker,
    ) -> None:
        super().__init__(config, dtype, device, weights)
        self._worker = worker
        with _name_lost_workers():
            self._parallel = DistributedDataParallel(_Losses(self.net, self._losses))

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """Return the loss of every target, (B, T) nats; see Trainable. Each worker computes its rows."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        rows, counted = self._own_rows(mask)
        with torch.inference_mode(), _name_lost_workers():
            own = self._losses(inputs[rows], targets[rows], counted, None)
            return view(self._gather(own, counted, mask.shape)[0])

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Run forward and backward over this worker's rows, and return the whole batch's; see Trainable.

        Raises:
            LostWorkerError: another worker is gone.
        """
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        rows, counted = self._own_rows(mask)
        masks = None if dropout is None else [np.asarray(part)[rows] for part in dropout]
        self.net.zero_grad(set_to_none=True)
        with _name_lost_workers():
            own = self._parallel(inputs[rows], targets[rows], counted, masks)
            losses, tokens = self._gather(own.detach(), counted, mask.shape)
            count = tokens if denominator is None else denominator
            # DistributedDataParallel takes the mean of the workers' gradients; times size it is their sum
            share = self._worker.size / count
            (own.sum() * share).backward()
        native = {name: parameter.grad for name, parameter in self._parameters.items()}
        loss = (losses.sum() / count).item()
        return Gradients(loss, view(losses), LazyArrays(native, canonical_view), native)

    def _own_rows(self, mask: Array) -> tuple[slice, Array]:
        """Return this worker's rows and their mask."""
        # A worker without rows must run backward all the same, because the others wait for its gradients. It
        # reads row 0 with a mask of zeros.
        rows = self._worker.rows(len(mask))
        return (rows, mask[rows]) if rows.start < rows.stop else (slice(0, 1), mask[:1] * 0)

    def _gather(self, own: Tensor, counted: Array, shape: tuple[int, ...]) -> tuple[Tensor, float]:
        """Return the losses of all workers' rows (B, T), and the number of tokens of all."""
        # Each worker fills in its own rows and leaves zeros elsewhere. So the sum over the workers holds all
        # rows, and one message carries the losses and the count.
        whole = torch.zeros(shape[0] * shape[1] + 1, dtype=own.dtype, device=own.device)
        losses = whole[:-1].view(shape)
        rows = self._worker.rows(shape[0])
        losses[rows] = own[: rows.stop - rows.start]
        whole[-1] = float(counted.sum())
        dist.all_reduce(whole)
        return losses, whole[-1].item()


@contextmanager
def _name_lost_workers() -> Iterator[None]:
    """Turn an error of the talk between workers into a LostWorkerError of one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LostWorkerError(f"Another worker is gone ({_line(error)}); go on with --resume") from None


def _line(error: Exception) -> str:
    """Return the reason alone, without the place in PyTorch's source and without its advice."""
    return re.sub(r"^\[[^]]*\] ", "", first_line(error)).partition(". ")[0][:200]
