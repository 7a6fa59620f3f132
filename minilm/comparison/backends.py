"""Forward, gradient and update of several backends on the same weights and batches, step by step.

Each backend trains on by itself, so a difference grows from where it began; a record is what was
measured, no verdict. The first model is the reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from minilm.backends import BACKENDS, create
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batch

__all__ = ["Difference", "ParityStep", "Place", "Verdict", "parity", "side_by_side", "verdicts"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One comparison: a stage ("logits", "loss", "gradient", "update"), and the parameter where there is one.

    apart: the largest absolute difference; largest: the largest absolute number of the reference.
    Adam divides a gradient by its own size: in float32 rounding alone moves an update by some 1e-3 rates.
    """

    stage: str
    parameter: str
    apart: float
    largest: float

    @property
    def scaled(self) -> float:
        """apart over max(1, largest): what a tolerance is held against; NaN counts as infinite."""
        return self.apart / max(1.0, self.largest) if self.apart == self.apart else float("inf")


@dataclass(frozen=True, slots=True)
class ParityStep:
    """One training step of one backend beside the reference's; index from 1, losses in nats per token."""

    index: int
    backend: str
    reference: str
    loss: float
    reference_loss: float
    differences: tuple[Difference, ...]

    def __repr__(self) -> str:
        worst = max(self.differences, key=lambda one: one.scaled)
        where = f"{worst.stage} {worst.parameter}".strip()
        return f"ParityStep({self.index}: {self.backend}, {where} {worst.apart:.1e} apart)"


@dataclass(frozen=True, eq=False)
class _Answer:
    loss: float
    stages: Mapping[tuple[str, str], Array]  # (stage, parameter) -> array, in the order of computation


def parity(
    names: Sequence[str],
    config: ModelConfig,
    batches: Iterable[Batch],
    dtype: str = "float32",
    *,
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
    rate: float = 1e-2,
    clip: float | None = 1.0,
) -> Iterator[ParityStep]:
    """Create every backend from the same weights, and hold each beside the first, batch by batch.

    Raises MinilmError for fewer than two names, or one that is unknown or not installed.
    """
    yield from side_by_side(models(names, config, dtype, device=device, weights=weights), batches, rate, clip)


def models(
    names: Sequence[str],
    config: ModelConfig,
    dtype: str = "float32",
    *,
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> list[Trainable]:
    """The backends by name, from the same weights; made in the order of BACKENDS, torch before TensorFlow."""
    if len(names) < 2 or len(set(names)) < len(names):
        raise MinilmError(
            f"A comparison needs two or more different backends, got {', '.join(names) or 'none'}"
        )
    order = sorted(names, key=lambda name: list(BACKENDS).index(name) if name in BACKENDS else -1)
    made = {
        name: create(name, config, dtype, "cpu" if name == "numpy" else device, weights) for name in order
    }
    return [made[name] for name in names]


def side_by_side(
    compared: Sequence[Trainable], batches: Iterable[Batch], rate: float = 1e-2, clip: float | None = 1.0
) -> Iterator[ParityStep]:
    """Train models that were given equal weights on the same batches; one record per batch and model.

    The models are trained as they are; what is compared with what is in the records' order of computation.
    """
    for index, batch in enumerate(batches, 1):
        reference, *others = [_answer(model, batch, rate, clip) for model in compared]
        for model, answer in zip(compared[1:], others, strict=True):
            differences = tuple(
                _difference(stage, parameter, array, reference.stages[stage, parameter])
                for (stage, parameter), array in answer.stages.items()
            )
            losses = answer.loss, reference.loss
            yield ParityStep(index, model.name, compared[0].name, *losses, differences)


def _answer(model: Trainable, batch: Batch, rate: float, clip: float | None) -> _Answer:
    row = batch.inputs[0][: max(1, int(batch.mask[0].sum()))]
    stages = {("logits", ""): model.read(row, rows="all").logits}
    gradients = model.gradients(batch.inputs, batch.targets, batch.mask)
    stages["loss", ""] = np.array(gradients.loss)
    stages |= {("gradient", name): array for name, array in gradients.arrays.items()}
    before = {name: np.array(array) for name, array in model.weights().items()}
    model.update(gradients, rate, clip)
    stages |= {("update", name): array - before[name] for name, array in model.weights().items()}
    return _Answer(gradients.loss, stages)


def _difference(stage: str, parameter: str, array: Array, reference: Array) -> Difference:
    reference = np.asarray(reference, np.float64)
    apart = float(np.abs(array - reference).max())
    return Difference(stage, parameter, apart, float(np.abs(reference).max()))


@dataclass(frozen=True, slots=True)
class Place:
    """A difference and the step that it was met at."""

    step: int
    difference: Difference

    def __str__(self) -> str:
        where = f" of {self.difference.parameter}" if self.difference.parameter else ""
        return f"step {self.step}: {self.difference.stage}{where}, {self.difference.apart:.1e} apart"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One backend against the reference, over all steps.

    worst: by stage, the place of its largest difference; first: the earliest one past the tolerance,
    in the order of computation, or None.
    """

    backend: str
    reference: str
    steps: int
    tolerance: float
    first: Place | None
    worst: Mapping[str, Place] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether nothing was past the tolerance, scaled by the reference's largest number where above 1."""
        return self.first is None


def verdicts(steps: Iterable[ParityStep], tolerance: float = 1e-5) -> list[Verdict]:
    """A verdict for every backend in the records, in their order."""
    found: dict[str, list[ParityStep]] = {}
    for step in steps:
        found.setdefault(step.backend, []).append(step)
    return [_verdict(records, tolerance) for records in found.values()]


def _verdict(records: list[ParityStep], tolerance: float) -> Verdict:
    places = [Place(record.index, one) for record in records for one in record.differences]
    worst: dict[str, Place] = {}
    for place in places:
        stage = place.difference.stage
        if stage not in worst or place.difference.scaled > worst[stage].difference.scaled:
            worst[stage] = place
    first = next((place for place in places if not place.difference.scaled <= tolerance), None)
    return Verdict(records[0].backend, records[0].reference, len(records), tolerance, first, worst)
