"""A debugging session of a training as a value: named lines, each a place in it, and the one looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from minilm.errors import MinilmError
from minilm.training.timeline.timeline import Timeline

__all__ = ["TrainSession", "open_session"]


@dataclass(frozen=True, eq=False)
class TrainSession:
    """Lines by name, "trunk" the first, and the name of the current one."""

    lines: Mapping[str, Timeline]
    current: str = "trunk"

    @property
    def here(self) -> Timeline:
        """The place that is looked at."""
        return self.lines[self.current]

    def moved(self, place: Timeline) -> TrainSession:
        """The current line at another place."""
        return replace(self, lines={**self.lines, self.current: place})

    def branched(self, name: str | None = None) -> TrainSession:
        """A new line that begins here, and is the current one; the old line stays where it is."""
        name = name or next(
            free for n in range(1, len(self.lines) + 1) if (free := f"b{n}") not in self.lines
        )
        if name in self.lines:
            raise MinilmError(f"There is a branch {name!r} already; take another name, or switch to it")
        return replace(self, lines={**self.lines, name: self.here}, current=name)

    def switched(self, name: str) -> TrainSession:
        """Another line as the current one."""
        self.line(name)
        return replace(self, current=name)

    def line(self, name: str) -> Timeline:
        """The place of a line. Raises MinilmError for a name that is not there."""
        if name not in self.lines:
            raise MinilmError(f"There is no branch {name!r}; there is {', '.join(self.lines)}")
        return self.lines[name]


def open_session(timeline: Timeline) -> TrainSession:
    """A session with one line, the trunk."""
    return TrainSession({"trunk": timeline})
