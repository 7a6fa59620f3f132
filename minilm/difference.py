"""The largest difference between two arrays, scaled, with its tolerance: one rule for every comparison.

    difference = max |a - b|        scaled = difference / max(1, max |b|)        equal: scaled <= tolerance

Below 1 the difference counts as it is, so that numbers near 0 do not look different by rounding alone; above
1 it is relative to the largest number of the reference. NaN is different from everything, NaN included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from minilm.records import Array

__all__ = [
    "Difference",
    "absolute_difference",
    "largest_difference",
    "measure_difference",
    "scale_difference",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between an array and the same array of the reference.

    Adam divides a gradient by its own size, so in float32 rounding alone changes an update by about 1e-3 of
    the learning rate.

    Attributes:
        stage: the stage of the computation, such as "logits", "loss", "gradient" or "update".
        parameter: the name of the parameter; "" where the stage has none.
        apart: the largest absolute difference.
        largest: the largest absolute number of the reference.
    """

    stage: str
    parameter: str
    apart: float
    largest: float

    @property
    def scaled(self) -> float:
        """The number to compare with a tolerance: `apart` divided by max(1, largest); infinite for NaN."""
        return scale_difference(self.apart, self.largest)


def absolute_difference(array: Array, reference: Array) -> Array:
    """Return |array - reference|, entry by entry; equal infinities have the difference 0.

    Args:
        array: numbers of any shape.
        reference: numbers of the same shape.
    """
    # -inf minus -inf is NaN, so the subtraction leaves out what is equal.
    difference = np.zeros(array.shape, np.result_type(array, reference))
    np.subtract(array, reference, out=difference, where=array != reference)
    return np.abs(difference)


def largest_difference(array: Array, reference: Array) -> float:
    """Return the largest absolute difference between the entries of two arrays.

    Arrays of text, or of two shapes, have no distance: they are equal (0) or not (infinite).

    Args:
        array: numbers or text, of any shape.
        reference: what `array` is compared with.

    Returns:
        The difference; NaN where one of the numbers is NaN.

    >>> largest_difference(np.array([1.0, -np.inf]), np.array([1.5, -np.inf]))
    0.5
    """
    if array.dtype.kind == "U" or array.shape != reference.shape:
        return 0.0 if np.array_equal(array, reference) else math.inf
    if not array.size:
        return 0.0
    return float(absolute_difference(array, reference).max())


def measure_difference(
    array: Array, reference: Array, stage: str = "logits", parameter: str = ""
) -> Difference:
    """Return the largest difference of an array, with the size of the reference in float64.

    Args:
        array: the numbers of one model, of any shape.
        reference: the same numbers of the reference, of the same shape.
        stage: the stage of the computation that gives them.
        parameter: the name of the parameter that they belong to.

    >>> measure_difference(np.array([1.0, 5.0]), np.array([1.0, 4.0])).scaled
    0.25
    """
    reference = np.asarray(reference, np.float64)
    finite = np.abs(reference[np.isfinite(reference)])
    return Difference(stage, parameter, largest_difference(array, reference), float(finite.max(initial=0.0)))


def scale_difference(difference: float, largest: float) -> float:
    """Return the number to compare with a tolerance.

    Args:
        difference: the largest absolute difference.
        largest: the largest absolute number of the reference.

    Returns:
        difference / max(1, largest); infinite where the difference is NaN.

    >>> scale_difference(1e-3, 100.0), scale_difference(1e-3, 0.5), scale_difference(math.nan, 1.0)
    (1e-05, 0.001, inf)
    """
    return math.inf if math.isnan(difference) else difference / max(1.0, largest)
