"""The ladder: two frameworks with their defaults, made equal one correction at a time; then all but one.

Every step trains both frameworks, and measures how far their losses and their last weights differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minilm.comparison.defaults.native import NativeFramework
from minilm.comparison.defaults.net_defaults import FIRST_WEIGHTS
from minilm.difference import absolute_difference, largest_difference
from minilm.frozen import one_line
from minilm.records import Array

__all__ = ["CORRECTIONS", "LadderStep", "apply_corrections", "count_steps"]

CORRECTIONS = ("two_biases", "adam_epsilon", "adam_epsilon_hat", "embedding_sparse", "adam_constants")


@dataclass(frozen=True, eq=False)
class LadderStep:
    """Two frameworks with some of their defaults neutral.

    Attributes:
        label: what is neutral in this step.
        left_out: True where all corrections but one are applied.
        apart: the difference of the losses at every training step, (steps,), nats per token.
        weights: the largest difference of a weight after the training.
    """

    label: str
    left_out: bool
    apart: Array
    weights: float

    __repr__ = one_line

    @property
    def losses(self) -> float:
        """The largest difference of the losses over all training steps."""
        return float(self.apart.max())


def count_steps(reference: NativeFramework, suspect: NativeFramework) -> int:
    """Return how many steps apply_corrections yields for two frameworks."""
    return 2 + 2 * len(_find_corrections(reference, suspect))


def _find_corrections(reference: NativeFramework, suspect: NativeFramework) -> list[str]:
    return [name for name in CORRECTIONS if name in (*reference.defaults, *suspect.defaults)]


def apply_corrections(reference: NativeFramework, suspect: NativeFramework) -> Iterator[LadderStep]:
    """Go from the plain defaults to every correction; then leave out each of them once.

    Args:
        reference: one framework.
        suspect: another one, on the same batches.
    """
    names, neutral = _find_corrections(reference, suspect), frozenset()
    yield _measure("defaults", reference, suspect, neutral)
    neutral |= FIRST_WEIGHTS
    yield _measure("weights copied", reference, suspect, neutral)
    for name in names:
        neutral |= {name}
        yield _measure(f"+ {name}", reference, suspect, neutral)
    for name in names:
        yield _measure(f"all but {name}", reference, suspect, neutral - {name}, left_out=True)


def _measure(
    label: str,
    reference: NativeFramework,
    suspect: NativeFramework,
    neutral: frozenset[str],
    left_out: bool = False,
) -> LadderStep:
    (losses, weights), (other_losses, other_weights) = reference.run(neutral), suspect.run(neutral)
    largest = max(largest_difference(weights[name], other_weights[name]) for name in weights)
    return LadderStep(label, left_out, absolute_difference(losses, other_losses), largest)
