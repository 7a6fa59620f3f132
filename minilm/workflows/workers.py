"""One training in several processes (torchrun): they agree before the first step, and the first alone writes.

Started without torchrun the only worker is the first, and nothing here loads torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from minilm import backends
from minilm.backends.processes import this_worker
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import ModelConfig

__all__ = ["agree", "leave", "model_of_worker", "share_number", "updates_made"]


def model_of_worker(backend: str, config: ModelConfig, dtype: str, device: str) -> Trainable:
    """Create the model of a training; one of several workers has its share in the common one.

    Raises:
        MinilmError: where several workers ask for a backend that trains in one process.
    """
    if this_worker().size == 1:
        return backends.create(backend, config, dtype, device)
    if backend != "torch":
        raise MinilmError(
            f"Backend {backend} trains in one process, got {this_worker().size}; "
            "give --backend torch, or start without torchrun"
        )
    from minilm.backends.torch import distributed

    model: Any = distributed.create(config, dtype, device)
    return model


def agree(model: Trainable, tokenizer_bytes: bytes, steps: int, facts: Any) -> int:
    """Return the number of steps that the first worker plans, once all workers have the same training.

    Args:
        model: this worker's model.
        tokenizer_bytes: its tokenizer.
        steps: how many steps it plans.
        facts: all else that a step depends on, as plain JSON.

    Raises:
        MinilmError: in all of them, where a worker has another text, tokenizer, setting or checkpoint.
    """
    if this_worker().size == 1:
        return steps
    from minilm.backends.torch.distributed import all_equal, from_first

    device = getattr(model, "device", "cpu")
    steps = from_first(steps, device)
    if not all_equal(_fingerprint(model, tokenizer_bytes, [steps, facts]), device):
        raise MinilmError(
            "The workers have different texts, settings or checkpoints; "
            "give all the same options, and --text and --out as shared folders or copies"
        )
    return steps


def share_number(model: Trainable) -> Callable[[int], int]:
    """Return a function that gives every worker the number of the first one; alone, it is one's own."""
    if this_worker().size == 1:
        return lambda number: number
    from minilm.backends.torch.distributed import from_first

    return lambda number: from_first(number, getattr(model, "device", "cpu"))


def _fingerprint(model: Trainable, tokenizer_bytes: bytes, facts: Any) -> int:
    """Return 63 bits that depend on all that a step depends on."""
    digest = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8)
    digest.update(tokenizer_bytes)
    for _, array in sorted(model.snapshot().items()):
        digest.update(array.tobytes())
    return int.from_bytes(digest.digest()) >> 1


def updates_made(model: Trainable) -> int:
    """Return how many updates a model has made.

    Where a worker is lost in the validation after an update, this is one more than the last record says.
    """
    return int(model.snapshot()["adam.step"])


def leave() -> None:
    """Wait at the end until every worker is done, so that none is missed by another."""
    if this_worker().size > 1:
        from minilm.backends.torch.distributed import finish

        finish()
