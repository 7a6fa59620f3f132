"""The torch net on several processes under DistributedDataParallel: the steps are those of one process.

Every worker is handed the whole batch and the whole dropout masks, and reads its own rows of them; loss
and gradients are sums over all workers, divided by the tokens of all. So every worker calls alike. Nothing
is started or restarted here: that is torchrun's affair.
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
from minilm.backends.lazy_arrays import LazyArrays
from minilm.backends.processes import LostWorkerError, Worker, this_worker
from minilm.backends.torch.lstm import TorchLSTM
from minilm.backends.torch.net import canonical_view, device_named, view
from minilm.errors import MinilmError
from minilm.model_config import check_config
from minilm.records import Array, Gradients, ModelConfig

__all__ = ["DistributedLSTM", "all_equal", "create", "finish", "from_first"]

PATIENCE = timedelta(minutes=10)  # of a worker that waits for another, which may be saving


def create(
    config: ModelConfig,
    dtype: str = "float32",
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> DistributedLSTM:
    """This worker's model, once all workers are there: over gloo on the CPU, over NCCL on CUDA."""
    check_config(config)
    worker, kind = this_worker(), device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise MinilmError(f"Several processes train on cpu or cuda, got {device!r}; use --device cpu")
    own = device_named(f"cuda:{worker.place}" if kind == "cuda" else "cpu")
    if not dist.is_initialized():
        if kind == "cuda":
            torch.cuda.set_device(own)
        try:
            dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise MinilmError(f"The workers do not meet ({_line(error)}); start with torchrun") from None
    weights = canonical.initial(config, check_dtype(dtype)) if weights is None else weights
    return DistributedLSTM(config, check_dtype(dtype), own, weights, worker)


def from_first(number: int, device: str = "cpu") -> int:
    """The number that worker 0 gives (below 2**63); every worker calls it."""
    told = torch.tensor(number, device=device)
    with _together():
        dist.broadcast(told, 0)
    return int(told)


def all_equal(number: int, device: str = "cpu") -> bool:
    """Whether all workers give the same number (below 2**63); every worker calls it."""
    extremes = torch.tensor([number, -number], device=device)
    with _together():
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
    return int(extremes[0]) == -int(extremes[1])


def finish() -> None:
    """Wait for the others at the end of a run and take leave; one that is gone by then is not missed."""
    with suppress(RuntimeError):
        dist.barrier()
        dist.destroy_process_group()


class _Losses(nn.Module):
    """What DistributedDataParallel wraps: the net, and how its losses are computed."""

    def __init__(self, net: nn.Module, losses: Callable[..., Tensor]) -> None:
        super().__init__()
        self.net, self._losses = net, losses

    def forward(
        self, inputs: Array, targets: Array, mask: Array, dropout: Sequence[Array] | None
    ) -> Tensor:  # (B, T)
        return self._losses(inputs, targets, mask, dropout)


class DistributedLSTM(TorchLSTM):
    """TorchLSTM shared by several workers; gradients() and losses() wait until all have called."""

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
        with _together():
            self._parallel = DistributedDataParallel(_Losses(self.net, self._losses))

    def losses(self, inputs: Array, targets: Array, mask: Array) -> Array:
        """The loss of every target, (B, T) nats, 0 where masked out; each worker reads its rows."""
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask)
        rows, counted = self._share(mask)
        with torch.inference_mode(), _together():
            own = self._losses(inputs[rows], targets[rows], counted, None)
            return view(self._joined(own, counted, mask.shape)[0])

    def gradients(
        self,
        inputs: Array,
        targets: Array,
        mask: Array,
        dropout: Sequence[Array] | None = None,
        denominator: float | None = None,
    ) -> Gradients:
        """Forward and backward over this worker's rows; what is returned is the whole batch's.

        Raises LostWorkerError where another worker is gone.
        """
        inputs, targets, mask, _ = check_batch(self.config, inputs, targets, mask, dropout, denominator)
        rows, counted = self._share(mask)
        masks = None if dropout is None else [np.asarray(part)[rows] for part in dropout]
        self.net.zero_grad(set_to_none=True)
        with _together():
            own = self._parallel(inputs[rows], targets[rows], counted, masks)
            losses, tokens = self._joined(own.detach(), counted, mask.shape)
            count = tokens if denominator is None else denominator
            share = self._worker.size / count  # times size, because DDP takes the mean of the workers
            (own.sum() * share).backward()
        native = {name: parameter.grad for name, parameter in self._parameters.items()}
        loss = (losses.sum() / count).item()
        return Gradients(loss, view(losses), LazyArrays(native, canonical_view), native)

    def _share(self, mask: Array) -> tuple[slice, Array]:
        """This worker's rows, and their mask; where it has none it reads row 0, which then does not count."""
        rows = self._worker.rows(len(mask))
        return (rows, mask[rows]) if rows.start < rows.stop else (slice(0, 1), mask[:1] * 0)

    def _joined(self, own: Tensor, counted: Array, shape: tuple[int, ...]) -> tuple[Tensor, float]:
        """The losses of all workers' rows (B, T), and the tokens of all: one all-reduce of both."""
        whole = torch.zeros(shape[0] * shape[1] + 1, dtype=own.dtype, device=own.device)
        losses = whole[:-1].view(shape)
        rows = self._worker.rows(shape[0])
        losses[rows] = own[: rows.stop - rows.start]
        whole[-1] = float(counted.sum())
        dist.all_reduce(whole)
        return losses, whole[-1].item()


@contextmanager
def _together() -> Iterator[None]:
    """What fails while workers speak with each other is named as that, in one line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LostWorkerError(f"Another worker is gone ({_line(error)}); go on with --resume") from None


def _line(error: Exception) -> str:
    """The reason alone, without the framework's place in its source and its advice."""
    first = str(error).partition("\n")[0].strip()
    return re.sub(r"^\[[^]]*\] ", "", first).partition(". ")[0][:200]
