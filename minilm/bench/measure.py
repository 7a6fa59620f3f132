"""One figure: two ways to do a thing, run in turns, and the median of the ratios of their times.

Turns (A B A B ...) because a machine slows down and speeds up; the ratio of neighbours does not care.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

__all__ = ["Figure", "Work", "in_turns", "seconds"]

Work = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """A measured figure against its bar.

    figure: the median of the runs; low, high: the least and the greatest of them; unit: "x" for a ratio,
    "s" or "MB"; bar: what is asked of it, None where it is only reported; at_least: whether more is better.
    """

    name: str
    figure: float
    low: float
    high: float
    runs: int
    bar: float | None
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none.

        >>> Figure("faster", 1.2, 1.1, 1.3, 5, bar=1.0).met, Figure("slower", 1.2, 1, 2, 5, 1.1, False).met
        (True, False)
        """
        if self.bar is None:
            return None
        return self.figure >= self.bar if self.at_least else self.figure <= self.bar


def in_turns(
    name: str, ours: Work, plain: Work, runs: int, bar: float | None, *, at_least: bool = True
) -> Figure:
    """How many times as fast ours is as plain; with at_least=False, how many times as long it takes.

    Each is run once unmeasured, then `runs` times in turns.
    """
    for work in (ours, plain):
        work()
    ratios = []
    for _ in range(runs):
        ours_seconds, plain_seconds = _timed(ours), _timed(plain)
        ratios.append(plain_seconds / ours_seconds if at_least else ours_seconds / plain_seconds)
    return Figure(name, median(ratios), min(ratios), max(ratios), runs, bar, at_least)


def seconds(name: str, measure: Callable[[], float], runs: int, bar: float | None) -> Figure:
    """The median of several measured times, in seconds, against an upper bar (None: only reported)."""
    times = [measure() for _ in range(runs)]
    return Figure(name, median(times), min(times), max(times), runs, bar, at_least=False, unit="s")


def _timed(work: Work) -> float:
    gc.collect()
    start = perf_counter()
    work()
    return perf_counter() - start
