"""A debugging session as a value: branches, the one that is looked at, and where to pause.

Every move gives another session and leaves the old one usable; nothing here prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.generation.branch import Branch, Merged, Turn, with_prompt, with_text
from minilm.generation.breakpoints import breakpoint_of, holds
from minilm.generation.cursor import Cursor
from minilm.records import Step
from minilm.sampling import parse

__all__ = ["Session", "open_session"]


@dataclass(frozen=True, eq=False)
class Session:
    """Branches by number, the current one, and the breakpoints."""

    branches: tuple[Branch, ...]
    current: int = 0
    breakpoints: tuple[Condition, ...] = ()

    @property
    def here(self) -> Branch:
        """The branch that is looked at."""
        return self.branches[self.current]

    @property
    def last(self) -> Step | None:
        """The step that was taken last on it, or None before the first."""
        return self.here.left[-1].step if self.here.left else None

    @property
    def pause(self) -> Condition | None:
        """The first breakpoint that holds at the last step, or None."""
        steps, ends = self.here.kept, self.here.cursor.settings.eos_ids
        return next((one for one in self.breakpoints if steps and holds(one, steps, ends)), None)

    def next(self) -> Session:
        """One step further. Raises MinilmError after the end, and where no token can be chosen."""
        return self._with(self.here.taken())

    def running(self, steps: int | None = None) -> Iterator[Session]:
        """The session after each step, until a breakpoint holds, the text ends or so many were taken."""
        session, taken = self, 0
        while steps is None or taken < steps:
            session, taken = session.next(), taken + 1
            yield session
            if session.here.finish or session.pause:
                return

    def back(self, steps: int = 1) -> Session:
        """The current branch as it was so many steps ago."""
        return self._with(self.here.back(steps))

    def force(self, token_id: int) -> Session:
        """One step further with this token, whatever the draw says."""
        return self._with(self.here.taken(token_id))

    def force_text(self, text: str) -> tuple[Session, Merged]:
        """The text put in here, and what merging it did to earlier ids."""
        branch, merged = with_text(self.here, text)
        return self._with(branch), merged

    def branched(self, fresh: bool = True) -> Session:
        """A new branch from here, which becomes the current one; with fresh dice, or with the same."""
        number = len(self.branches)
        parent = (self.current, self.here.index)
        branch = replace(self.here, number=number, parent=parent)
        if fresh:
            branch = branch.with_dice(1 + max(turn.dice for one in self.branches for turn in one.turns))
        return self.with_branch(branch)

    def with_branch(self, branch: Branch) -> Session:
        """The session with one more branch, which becomes the current one."""
        return replace(self, branches=(*self.branches, branch), current=len(self.branches))

    def switched(self, number: int) -> Session:
        """The session looking at another branch. Raises MinilmError where there is none."""
        if not 0 <= number < len(self.branches):
            raise MinilmError(f"Branches are numbered 0 to {len(self.branches) - 1}, got {number}")
        return replace(self, current=number)

    def with_prompt(self, prompt: str | Sequence[int]) -> Session:
        """The current branch begun anew after another prompt."""
        return self._with(with_prompt(self.here, prompt))

    def with_stages(self, stages: str) -> Session:
        """Other stages on the current branch from here on; a constraint that is new begins here.

        One that says itself after how many tokens it begins, as a step shows it, is taken at its word.
        """
        cursor = self.here.cursor
        known = {repr(stage.begun(0)): stage for stage in cursor.settings.stages}
        asked = [
            known.get(repr(stage), stage.begun(cursor.index)) if stage == stage.begun(0) else stage
            for stage in parse(stages)
        ]
        return self._with(self.here.changed(stages=tuple(asked)))

    def watching(self, ids: Sequence[int]) -> Session:
        """The ids followed on every branch, candidates or not. Raises MinilmError for one outside."""
        size = self.here.cursor.model.vocab_size
        if outside := [i for i in ids if not 0 <= i < size]:
            raise MinilmError(f"Id {outside[0]} to watch is not in the vocabulary of {size}")
        return replace(self, branches=tuple(branch.watching(tuple(ids)) for branch in self.branches))

    def with_breakpoint(self, text: str) -> Session:
        """One more condition to pause at; the end of the text is watched from now on, so that it is known."""
        condition = breakpoint_of(text)
        settings = self.here.cursor.settings
        watched = dict.fromkeys((*settings.watch, *settings.eos_ids))
        return replace(self.watching(tuple(watched)), breakpoints=(*self.breakpoints, condition))

    def without_breakpoint(self, number: int) -> Session:
        """The session without the breakpoint of this number, from 1. Raises MinilmError for another."""
        if not 1 <= number <= len(self.breakpoints):
            raise MinilmError(f"There are {len(self.breakpoints)} breakpoints, got number {number}")
        kept = (*self.breakpoints[: number - 1], *self.breakpoints[number:])
        return replace(self, breakpoints=kept)

    def _with(self, branch: Branch) -> Session:
        branches = (*self.branches[: self.current], branch, *self.branches[self.current + 1 :])
        return replace(self, branches=branches)


def open_session(cursor: Cursor, window: int | None = None) -> Session:
    """A session that stands at a cursor at the end of its prompt.

    window: how many places to keep (None: all); a rewind past them reads the context again.
    """
    if window is not None and window < 1:
        raise MinilmError(f"A session keeps 1 place or more, got a window of {window}")
    if cursor.index:
        raise MinilmError(f"A session begins after its prompt, got a cursor {cursor.index} tokens further")
    return Session((Branch(0, cursor, (Turn(0, cursor.settings, cursor.branch),), window=window),))
