"""The ladder: two frameworks with their defaults, made equal one correction at a time; and leaving one out.

A rung says how far the losses of a whole run part, and the weights after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minilm.comparison.defaults.native import Native
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["CORRECTIONS", "Rung", "climb", "heights"]

WEIGHTS = ("embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init")

CORRECTIONS = ("two_biases", "adam_epsilon", "adam_epsilon_hat", "embedding_sparse", "adam_constants")


@dataclass(frozen=True, eq=False)
class Rung:
    """label: what is neutral here; apart (steps,): difference of the losses at every step, nats per token.

    left_out: whether all but one is neutral; weights: the largest difference of a weight after the run.
    """

    label: str
    left_out: bool
    apart: Array
    weights: float

    __repr__ = one_line

    @property
    def losses(self) -> float:
        """The largest difference of the losses over all steps."""
        return float(self.apart.max())


def heights(reference: Native, suspect: Native) -> int:
    """How many rungs a climb has."""
    return 2 + 2 * len(_corrections(reference, suspect))


def _corrections(reference: Native, suspect: Native) -> list[str]:
    return [name for name in CORRECTIONS if name in (*reference.rows, *suspect.rows)]


def climb(reference: Native, suspect: Native) -> Iterator[Rung]:
    """From the defaults over copied weights to every correction; then all but one, for each of them."""
    steps, neutral = _corrections(reference, suspect), frozenset()
    yield _rung("defaults", reference, suspect, neutral)
    neutral |= frozenset(WEIGHTS)
    yield _rung("weights copied", reference, suspect, neutral)
    for name in steps:
        neutral |= {name}
        yield _rung(f"+ {name}", reference, suspect, neutral)
    for name in steps:
        yield _rung(f"all but {name}", reference, suspect, neutral - {name}, left_out=True)


def _rung(
    label: str, reference: Native, suspect: Native, neutral: frozenset[str], left_out: bool = False
) -> Rung:
    (losses, weights), (other_losses, other_weights) = reference.run(neutral), suspect.run(neutral)
    furthest = max(float(np.abs(weights[name] - other_weights[name]).max()) for name in weights)
    return Rung(label, left_out, np.abs(losses - other_losses), furthest)
