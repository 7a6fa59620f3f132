"""Compare backends in training: the same weights and batches, and the first number that differs.

For every batch each backend computes logits -> loss -> gradients -> update, and goes on from its own
weights. So a difference grows from the place where it began, and that place is the first one past the
tolerance. The first model is the reference.

In float32 rounding alone passes a fixed tolerance: Adam divides a gradient by its own size, and the errors
grow with the rate and the steps. The same run in float64 tells rounding from a mistake: a mistake stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from minilm.backends import BACKENDS, available, create
from minilm.difference import Difference, largest_difference, measure_difference
from minilm.errors import MinilmError, install_advice
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig, TrainStep
from minilm.training.batches import Batch

__all__ = [
    "ParityStep",
    "Place",
    "RunDifference",
    "Verdict",
    "compare_backends",
    "compare_runs",
    "create_models",
    "judge_backends",
    "order_of_loading",
    "train_side_by_side",
]


# In float64, equal backends stay far below it; a wrong formula does not.
EXACT_TOLERANCE = 1e-9

# Rounding of a backend is at most so many times the rounding of the reference in the same stage. Backends add
# in other orders, so one may lose a few times more digits than another; float16 loses 8,000 times more.
ROUNDING_FACTOR = 30.0


@dataclass(frozen=True, slots=True)
class ParityStep:
    """One training step of one backend, compared with the same step of the reference.

    Attributes:
        index: the number of the step, from 1.
        backend: the name of the backend.
        reference: the name of the reference.
        loss: nats per token.
        reference_loss: the loss of the reference.
        differences: one for each array, in the order of computation.
    """

    index: int
    backend: str
    reference: str
    loss: float
    reference_loss: float
    differences: tuple[Difference, ...]

    def __repr__(self) -> str:
        worst = max(self.differences, key=lambda one: one.scaled)
        where = f"{worst.stage} {worst.parameter}".strip()
        return f"ParityStep({self.index}: {self.backend}, largest difference {worst.apart:.1e} in {where})"


@dataclass(frozen=True, slots=True)
class Place:
    """A difference and the step in which it was measured."""

    step: int
    difference: Difference

    def __str__(self) -> str:
        where = f" of {self.difference.parameter}" if self.difference.parameter else ""
        return f"step {self.step}: {self.difference.stage}{where}, difference {self.difference.apart:.1e}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One backend compared with the reference over all steps.

    Attributes:
        backend: the name of the backend.
        reference: the name of the reference.
        steps: how many steps were compared.
        tolerance: the largest scaled difference that counts as equal.
        first: the earliest difference past the tolerance, in the order of computation, or None.
        worst: for each stage, the place of its largest difference.
        rounding: True where the same run in float64 shows that rounding explains every difference.
    """

    backend: str
    reference: str
    steps: int
    tolerance: float
    first: Place | None
    worst: Mapping[str, Place] = field(default_factory=dict)
    rounding: bool = False

    @property
    def equal(self) -> bool:
        """True where no scaled difference is past the tolerance, or rounding explains those that are."""
        return self.first is None or self.rounding

    @property
    def largest(self) -> Place:
        """The place of the largest scaled difference of all stages."""
        return max(self.worst.values(), key=lambda place: place.difference.scaled)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """A finished training in one backend, compared with the same training in the reference.

    Attributes:
        backend: the name of the backend.
        losses: the largest difference of the losses over all steps, nats per token.
        logits: the largest difference of the logits after the last step.
    """

    backend: str
    losses: float
    logits: float


def compare_backends(
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
    """Create every backend from the same weights and compare each with the first, batch by batch.

    Args:
        names: the backends; the first is the reference.
        config: the sizes of the model.
        batches: what they are trained on, in this order.
        dtype: "float32" or "float64".
        device: where the frameworks run; NumPy stays on the CPU.
        weights: canonical arrays; those of the config's seed by default.
        rate: Adam's learning rate.
        clip: the bound of the global gradient norm; None clips nothing.

    Raises:
        MinilmError: for fewer than two names, or a backend that is unknown or not installed.
    """
    models = create_models(names, config, dtype, device=device, weights=weights)
    yield from train_side_by_side(models, batches, rate, clip)


def create_models(
    names: Sequence[str],
    config: ModelConfig,
    dtype: str = "float32",
    *,
    device: str = "cpu",
    weights: Mapping[str, Array] | None = None,
) -> list[Trainable]:
    """Return a model for each backend, all with the same weights.

    Args:
        names: two or more backends, each once.
        config: the sizes of the model.
        dtype: "float32" or "float64".
        device: where the frameworks run; NumPy stays on the CPU.
        weights: canonical arrays; those of the config's seed by default.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        advice = "" if len(available()) > 1 else f"; {install_advice('torch')}"
        raise MinilmError(
            f"A comparison needs two or more different backends, got {', '.join(names) or 'none'}{advice}"
        )
    created = {
        name: create(name, config, dtype, "cpu" if name == "numpy" else device, weights)
        for name in order_of_loading(names)
    }
    return [created[name] for name in names]


def order_of_loading(names: Sequence[str]) -> list[str]:
    """Return the names of backends in the order of BACKENDS: torch must be loaded before TensorFlow."""
    known = list(BACKENDS)
    return sorted(names, key=lambda name: known.index(name) if name in known else -1)


def train_side_by_side(
    models: Sequence[Trainable], batches: Iterable[Batch], rate: float = 1e-2, clip: float | None = 1.0
) -> Iterator[ParityStep]:
    """Train models on the same batches and compare each with the first; one record per batch and model.

    Args:
        models: models with equal weights. They are trained as they are, not copied.
        batches: what they are trained on, in this order.
        rate: Adam's learning rate.
        clip: the bound of the global gradient norm; None clips nothing.
    """
    for index, batch in enumerate(batches, 1):
        reference, *others = [_train_step(model, batch, rate, clip) for model in models]
        for model, computed in zip(models[1:], others, strict=True):
            differences = tuple(
                measure_difference(array, np.asarray(reference[key], np.float64), *key)
                for key, array in computed.items()
            )
            loss, reference_loss = float(computed["loss", ""]), float(reference["loss", ""])
            yield ParityStep(index, model.name, models[0].name, loss, reference_loss, differences)


def _train_step(
    model: Trainable, batch: Batch, rate: float, clip: float | None
) -> dict[tuple[str, str], Array]:
    """Return the arrays of one training step by (stage, parameter), in the order of computation."""
    row = batch.inputs[0][: max(1, int(batch.mask[0].sum()))]
    arrays = {("logits", ""): model.read(row, rows="all").logits}
    gradients = model.gradients(batch.inputs, batch.targets, batch.mask)
    arrays["loss", ""] = np.array(gradients.loss)
    arrays |= {("gradient", name): array for name, array in gradients.arrays.items()}
    before = {name: np.array(array) for name, array in model.weights().items()}
    model.update(gradients, rate, clip)
    return arrays | {("update", name): array - before[name] for name, array in model.weights().items()}


def judge_backends(
    steps: Iterable[ParityStep], tolerance: float = 1e-5, exact: Iterable[ParityStep] = ()
) -> list[Verdict]:
    """Return a verdict for every backend in the records, in their order.

    Args:
        steps: the records of train_side_by_side.
        tolerance: the largest scaled difference that counts as equal.
        exact: the records of measure_rounding for the same run; they decide whether a difference past the
            tolerance is rounding. Without them, none is.
    """
    found = [_judge(records, tolerance) for records in _group_by_backend(steps).values()]
    in_float64 = {name: _judge(records, tolerance) for name, records in _group_by_backend(exact).items()}
    return [replace(verdict, rounding=_is_rounding(verdict, in_float64)) for verdict in found]


def _group_by_backend(steps: Iterable[ParityStep]) -> dict[str, list[ParityStep]]:
    by_backend: dict[str, list[ParityStep]] = {}
    for step in steps:
        by_backend.setdefault(step.backend, []).append(step)
    return by_backend


def _judge(records: list[ParityStep], tolerance: float) -> Verdict:
    places = [Place(record.index, one) for record in records for one in record.differences]
    worst: dict[str, Place] = {}
    for place in places:
        stage = place.difference.stage
        if stage not in worst or place.difference.scaled > worst[stage].difference.scaled:
            worst[stage] = place
    first = next((place for place in places if place.difference.scaled > tolerance), None)
    return Verdict(records[0].backend, records[0].reference, len(records), tolerance, first, worst)


def _is_rounding(verdict: Verdict, in_float64: Mapping[str, Verdict]) -> bool:
    """Return True where a backend equals the reference in float64, and loses about as many digits as it."""
    own, rounding = in_float64.get(verdict.backend), in_float64.get(verdict.reference)
    if verdict.first is None or own is None or rounding is None:
        return False
    if own.largest.difference.scaled > EXACT_TOLERANCE:
        return False
    return all(
        place.difference.scaled
        <= verdict.tolerance + ROUNDING_FACTOR * rounding.worst[stage].difference.scaled
        for stage, place in verdict.worst.items()
    )


def compare_runs(
    steps: Mapping[str, Sequence[TrainStep]], logits: Mapping[str, Array]
) -> list[RunDifference]:
    """Compare finished trainings with the first one; the first is compared with itself.

    Args:
        steps: by backend, the records of its training; equally many for each.
        logits: by backend, the logits (T, V) of one text after the training.
    """
    losses = {name: np.array([step.loss for step in records]) for name, records in steps.items()}
    first = next(iter(losses))
    return [
        RunDifference(
            name,
            largest_difference(losses[name], losses[first]),
            largest_difference(logits[name], logits[first]),
        )
        for name in losses
    ]
