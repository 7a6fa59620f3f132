"""A training that ends at a time: its learning rate follows the share of the time that is gone.

The time is cut into 100 equal parts. All steps that begin in one part have the same rate, and the clock notes
the first step of every part. So a schedule gives every rate again, for a replay and for a resumed training,
from at most 100 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from minilm.training.fit import PARTS, Schedule

__all__ = ["Clock", "foresee"]

# Validations of a training, and the share of its time that one may take. A longer one comes at the end alone.
VALIDATIONS = 10
AFFORDABLE = 0.02

# Seconds after the end up to which the last validation may take.
GRACE = 1.0


class Clock:
    """Counts the seconds of a training, and says when a validation and the end have come.

    Attributes:
        seconds: the time of the whole training.
        spent: what of it had gone when the clock was last started or stopped.
        schedule: the learning rates, with the first step of every part of the time that has begun.
        over: no time is left for another step; the step that was just made is the last one.
        due: the step that was just made is followed by a validation.
    """

    def __init__(
        self,
        schedule: Schedule,
        seconds: float,
        spent: float = 0.0,
        share: Callable[[int], int] = lambda number: number,
    ) -> None:
        """Make a clock that does not run yet.

        Args:
            schedule: the learning rates, with the parts of the time that had begun before.
            seconds: the time of the whole training.
            spent: what of it has gone.
            share: returns the number that the first of several workers has, so that all do the same.
        """
        self.schedule = replace(schedule, parts=schedule.parts or (0,))
        self.seconds, self.spent, self._share = seconds, spent, share
        self.over, self.due = False, False
        self._started: float | None = None
        self._validation = 0.0
        self._marked: float | None = None

    def start(self) -> None:
        """Let the time run."""
        self._started = monotonic()

    def stop(self) -> None:
        """Let the time stand still until the next start."""
        self.spent, self._started, self._marked = self.gone(), None, None

    def gone(self) -> float:
        """Return how many seconds have gone."""
        return self.spent + (0.0 if self._started is None else monotonic() - self._started)

    def mark(self, step: int) -> None:
        """Note how much time is gone before a step, from 0; sets `schedule`, `over` and `due`."""
        gone = self.gone()
        # The next step takes as long as the last one, and the last validation belongs to the time too.
        length = 0.0 if self._marked is None else gone - self._marked
        self._marked = gone
        now = int(PARTS * (gone + self._validation) / self.seconds)
        if gone + length + self._validation > self.seconds:
            now = PARTS
        now = self._share(min(now, PARTS))
        parts = self.schedule.parts
        begun = min(now, PARTS - 1) + 1
        if begun > len(parts):
            self.schedule = replace(self.schedule, parts=parts + (step,) * (begun - len(parts)))
        tenth = PARTS // VALIDATIONS
        passed = (len(self.schedule.parts) - 1) // tenth > (len(parts) - 1) // tenth
        self.over = now == PARTS
        self.due = self.over or (passed and self._validation <= AFFORDABLE * self.seconds)

    def late(self) -> bool:
        """Return whether the time has been gone for a second, so that even a validation is given up."""
        return self.gone() >= self.seconds + GRACE

    def took(self, seconds: float) -> None:
        """Note how long a validation took."""
        self._validation = max(self._validation, seconds)
        self._marked = self.gone()


def foresee(schedule: Schedule, step: int) -> Schedule:
    """Return a schedule whose parts that have not begun are spread evenly over the steps that are left.

    A debugger goes forward along it, where the clock has not decided yet.

    >>> len(foresee(Schedule(1.0, 300, parts=(0,) * 50), 100).parts)
    100
    >>> [round(foresee(Schedule(1.0, 300, parts=(0,) * 50), 100).at(step), 3) for step in (100, 200, 299)]
    [0.518, 0.166, 0.02]

    Args:
        schedule: its last step is an estimate.
        step: the updates made.
    """
    missing = PARTS - len(schedule.parts)
    left = max(schedule.steps - step, 0)
    begins = tuple(step + left * part // (missing + 1) for part in range(1, missing + 1))
    return replace(schedule, parts=schedule.parts + begins)
