"""A debugging session as a value: its branches, which one is current, and where to pause.

Every method gives another session and leaves the old one usable. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.generation.branch import Branch, Merged, Turn, with_prompt, with_text
from minilm.generation.breakpoints import breakpoint_holds, breakpoint_of
from minilm.generation.cursor import Cursor
from minilm.records import Step
from minilm.sampling import parse

__all__ = ["Session", "open_session"]


@dataclass(frozen=True, eq=False)
class Session:
    """The state of a debugger.

    Attributes:
        branches: All branches, by number.
        current: The number of the current branch.
        breakpoints: Conditions on a step; where one holds, a run pauses.
    """

    branches: tuple[Branch, ...]
    current: int = 0
    breakpoints: tuple[Condition, ...] = ()

    @property
    def here(self) -> Branch:
        """The current branch."""
        return self.branches[self.current]

    @property
    def last(self) -> Step | None:
        """The last step of the current branch, None before the first."""
        return self.here.left[-1].step if self.here.left else None

    @property
    def pause(self) -> Condition | None:
        """The first breakpoint that holds at the last step, None where none does."""
        steps, ends = self.here.kept, self.here.cursor.settings.eos_ids
        return next((one for one in self.breakpoints if steps and breakpoint_holds(one, steps, ends)), None)

    def next(self) -> Session:
        """Return the session one step further. Raises MinilmError where no step can be taken."""
        return self._with(self.here.take())

    def run(self, steps: int | None = None) -> Iterator[Session]:
        """Yield the session after each step, until a breakpoint holds or the text ends.

        Args:
            steps: The most steps to take; None for no limit.
        """
        session, count = self, 0
        while steps is None or count < steps:
            session, count = session.next(), count + 1
            yield session
            if session.here.finish or session.pause:
                return

    def back(self, steps: int = 1) -> Session:
        """Return the session with the current branch as it was some steps ago."""
        return self._with(self.here.back(steps))

    def force(self, token_id: int) -> Session:
        """Return the session one step further with this token, whatever the draw says."""
        return self._with(self.here.take(token_id))

    def force_text(self, text: str) -> tuple[Session, Merged]:
        """Return the session with a text put in here, and what that did to earlier ids."""
        branch, merged = with_text(self.here, text)
        return self._with(branch), merged

    def new_branch(self, fresh: bool = True) -> Session:
        """Return the session with a new branch from here, which becomes the current one.

        Args:
            fresh: True to throw new dice on the branch, False to throw the same.
        """
        number = len(self.branches)
        parent = (self.current, self.here.index)
        branch = replace(self.here, number=number, parent=parent)
        if fresh:
            branch = branch.with_dice(1 + max(turn.dice for one in self.branches for turn in one.turns))
        return self.with_branch(branch)

    def with_branch(self, branch: Branch) -> Session:
        """Return the session with one more branch, which becomes the current one."""
        return replace(self, branches=(*self.branches, branch), current=len(self.branches))

    def switch(self, number: int) -> Session:
        """Return the session with another current branch. Raises MinilmError where there is none."""
        if not 0 <= number < len(self.branches):
            raise MinilmError(f"Branches are numbered 0 to {len(self.branches) - 1}, got {number}")
        return replace(self, current=number)

    def with_prompt(self, prompt: str | Sequence[int]) -> Session:
        """Return the session with its current branch at the end of another prompt."""
        return self._with(with_prompt(self.here, prompt))

    def with_stages(self, stages: str) -> Session:
        """Return the session with other stages on the current branch from here on.

        A constraint that is new begins here. One whose text says after how many tokens it begins, as the
        ledger of a step does, begins there.

        Args:
            stages: The stages as text.
        """
        cursor = self.here.cursor
        known = {repr(stage.begin_after(0)): stage for stage in cursor.settings.stages}
        asked = [
            known.get(repr(stage), stage.begin_after(cursor.index))
            if stage == stage.begin_after(0)
            else stage
            for stage in parse(stages)
        ]
        return self._with(self.here.with_settings(stages=tuple(asked)))

    def with_watched(self, ids: Sequence[int]) -> Session:
        """Return the session with these ids followed on every branch, whether they are candidates or not.

        Raises:
            MinilmError: An id is not in the vocabulary.
        """
        size = self.here.cursor.model.vocab_size
        if outside := [i for i in ids if not 0 <= i < size]:
            raise MinilmError(f"Id {outside[0]} to watch is not in the vocabulary of {size}")
        return replace(self, branches=tuple(branch.with_watched(tuple(ids)) for branch in self.branches))

    def with_breakpoint(self, text: str) -> Session:
        """Return the session with one more condition to pause at."""
        condition = breakpoint_of(text)
        settings = self.here.cursor.settings
        # The end of the text is watched from now on, so that a condition can ask for p_eos.
        watched = dict.fromkeys((*settings.watch, *settings.eos_ids))
        return replace(self.with_watched(tuple(watched)), breakpoints=(*self.breakpoints, condition))

    def without_breakpoint(self, number: int) -> Session:
        """Return the session without a breakpoint. Raises MinilmError where there is none of this number.

        Args:
            number: The number of the breakpoint, from 1.
        """
        if not 1 <= number <= len(self.breakpoints):
            raise MinilmError(f"There are {len(self.breakpoints)} breakpoints, got number {number}")
        kept = (*self.breakpoints[: number - 1], *self.breakpoints[number:])
        return replace(self, breakpoints=kept)

    def _with(self, branch: Branch) -> Session:
        branches = (*self.branches[: self.current], branch, *self.branches[self.current + 1 :])
        return replace(self, branches=branches)


def open_session(cursor: Cursor, window: int | None = None) -> Session:
    """Return a session at the end of a prompt.

    Args:
        cursor: The cursor after the prompt.
        window: How many places to keep; None for all. Going back further reads the context again.

    Raises:
        MinilmError: The cursor has generated tokens already, or the window is below 1.
    """
    if window is not None and window < 1:
        raise MinilmError(f"A session keeps 1 place or more, got a window of {window}")
    if cursor.index:
        raise MinilmError(f"A session begins after its prompt, got a cursor {cursor.index} tokens further")
    return Session((Branch(0, cursor, (Turn(0, cursor.settings, cursor.branch),), window=window),))
