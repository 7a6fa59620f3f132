"""Measure a figure: run two ways to do a thing in turns, and take the median of the ratios of their times.

They take turns (A B A B ...) because a machine slows down and speeds up; this changes both neighbours, and
hardly their ratio.
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
    """A measured figure and the bar that it should meet.

    Attributes:
        name: what was measured.
        figure: the median of the runs.
        low: the smallest of the runs.
        high: the largest of the runs.
        runs: how many there were.
        bar: the value that the figure should reach; None if it is only reported.
        at_least: True if more is better, so that the bar is a lower bound.
        unit: "x" for a ratio, "s" for seconds or "MB" for megabytes.
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
        """True if the bar is met; None if there is no bar.

        >>> Figure("faster", 1.2, 1.1, 1.3, 5, bar=1.0).met, Figure("slower", 1.2, 1, 2, 5, 1.1, False).met
        (True, False)
        """
        if self.bar is None:
            return None
        return self.figure >= self.bar if self.at_least else self.figure <= self.bar


def in_turns(
    name: str, ours: Work, plain: Work, runs: int, bar: float | None, *, at_least: bool = True
) -> Figure:
    """Measure how many times as fast ours is as plain.

    Each is run once unmeasured, then `runs` times in turns.

    Args:
        name: what is measured.
        ours: the work with minilm.
        plain: the same work without it.
        runs: how many times each is measured.
        bar: the value that the ratio should reach; None only reports it.
        at_least: False measures how many times as long ours takes, and the bar is an upper bound.
    """
    for work in (ours, plain):
        work()
    ratios = []
    for _ in range(runs):
        ours_seconds, plain_seconds = _time(ours), _time(plain)
        ratios.append(plain_seconds / ours_seconds if at_least else ours_seconds / plain_seconds)
    return Figure(name, median(ratios), min(ratios), max(ratios), runs, bar, at_least)


def seconds(name: str, measure: Callable[[], float], runs: int, bar: float | None) -> Figure:
    """Call `measure`, which returns seconds, `runs` times; the bar is an upper bound of the median."""
    times = [measure() for _ in range(runs)]
    return Figure(name, median(times), min(times), max(times), runs, bar, at_least=False, unit="s")


def _time(work: Work) -> float:
    gc.collect()
    start = perf_counter()
    work()
    return perf_counter() - start
