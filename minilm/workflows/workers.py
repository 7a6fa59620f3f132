"""minilm train under torchrun: what makes several workers one run, of which the first alone writes.

Started without torchrun the only worker is the first, and nothing here loads torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from minilm import backends
from minilm.backends.processes import this_worker
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import ModelConfig, TrainStep

if TYPE_CHECKING:
    from minilm.workflows.train import Run

__all__ = ["agreed", "leave", "model_of", "reached"]


def model_of(settings: Mapping[str, Any], config: ModelConfig, device: str) -> Trainable:
    """The model of a run's settings; one of several workers has its share in the common one."""
    if this_worker().size == 1:
        return backends.create(settings["backend"], config, settings["dtype"], device)
    if settings["backend"] != "torch":
        raise MinilmError(
            f"Backend {settings['backend']} trains in one process, got {this_worker().size}; "
            "give --backend torch, or start without torchrun"
        )
    from minilm.backends.torch import distributed as torch_distributed

    model: Any = torch_distributed.create(config, settings["dtype"], device)
    return model


def agreed(run: Run) -> Run:
    """The run with as many steps as the first worker plans.

    Raises MinilmError, on all of them, where a worker has another text, tokenizer, setting or checkpoint.
    """
    if this_worker().size == 1:
        return run
    from minilm.backends.torch.distributed import all_equal, from_first

    device = getattr(run.model, "device", "cpu")
    steps = from_first(run.settings["steps"], device)
    run = replace(run, settings={**run.settings, "steps": steps})
    if not all_equal(_fingerprint(run), device):
        raise MinilmError(
            "The workers have different texts, settings or checkpoints; "
            "give all the same options, and --text and --out as shared folders or copies"
        )
    return run


def _fingerprint(run: Run) -> int:
    """63 bits of all that a step depends on."""
    settings = {name: value for name, value in run.settings.items() if name != "text"}
    facts = json.dumps([settings, run.start, run.tokens, asdict(run.model.config)], sort_keys=True)
    digest = hashlib.blake2b(facts.encode(), digest_size=8)
    digest.update(run.codec.model_bytes)
    for _, array in sorted(run.model.snapshot().items()):
        digest.update(array.tobytes())
    return int.from_bytes(digest.digest()) >> 1


def reached(run: Run, last: TrainStep | None) -> tuple[int, int]:
    """Updates made and targets seen when a worker was lost after the record `last`.

    One more than in the record where the loss fell into the validation after an update.
    """
    index, tokens = (last.index, last.tokens) if last else (run.start, run.tokens)
    made = int(run.model.snapshot()["adam.step"])
    return made, tokens + sum(run.batches.batch(step).tokens for step in range(index, made))


def leave() -> None:
    """Wait at the end until every worker is done, so that none is missed by another."""
    if this_worker().size > 1:
        from minilm.backends.torch.distributed import finish

        finish()
