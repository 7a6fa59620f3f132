"""From records of a comparison to one sentence per backend: equal, or where it first parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from minilm.comparison.parity import Difference, ParityStep

__all__ = ["Place", "Verdict", "verdicts"]


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
