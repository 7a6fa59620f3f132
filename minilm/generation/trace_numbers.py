"""When two numbers of a trace count as equal, and what the label of a stage tells of it.

What the numbers owe to one another is in trace_identities.py and trace_candidates.py.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache

from minilm.errors import MinilmError
from minilm.sampling import parse
from minilm.sampling.stages import Temperature

__all__ = ["SMALLEST", "TOLERANCE", "apart", "exp", "temperature", "truncates"]

TOLERANCE = 1e-6
SMALLEST = sys.float_info.min
"""Below it a probability has lost digits, so that its logarithm says little."""


def apart(a: float, b: float, scale: float = 1.0) -> bool:
    """Whether two numbers differ by more than 1e-6, times the scale where that is above 1.

    >>> apart(0.5, 0.5 + 1e-7), apart(0.5, 0.51), apart(300.0, 300.0001, scale=300.0)
    (False, True, False)
    """
    return not abs(a - b) <= TOLERANCE * max(1.0, scale)


def exp(x: float) -> float:
    """e to the power of a log-probability; above 0, where none can be, e at most."""
    return math.exp(min(x, 1.0))


@lru_cache(maxsize=256)
def truncates(label: str) -> bool:
    """Whether a stage only removes tokens; False for one of the user's own, of which nothing is known.

    >>> truncates("TopK(3)"), truncates("Temperature(0.5)"), truncates("Mine()")
    (True, False, False)
    """
    try:
        return all(stage.truncates for stage in parse(label))
    except MinilmError:
        return False


@lru_cache(maxsize=256)
def temperature(label: str) -> float | None:
    """The temperature of a stage that divides by one, else None.

    >>> temperature("Temperature(0.5)"), temperature("TopK(3)")
    (0.5, None)
    """
    try:
        stages = parse(label)
    except MinilmError:
        return None
    return stages[0].t if len(stages) == 1 and isinstance(stages[0], Temperature) else None
