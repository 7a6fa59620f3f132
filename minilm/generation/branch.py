"""One branch of a debugging session: a cursor, the places before it, and the settings of every step.

Going back takes a place that was kept. Before the oldest kept place the context is read again, in the same
parts (the prompt whole, then token by token), so the numbers are the same bit for bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.generation.cursor import Cursor, start
from minilm.generation.settings import Settings
from minilm.protocols import TextDecoder
from minilm.records import Reading, Step

__all__ = ["Branch", "Merged", "Turn", "start_again", "with_prompt", "with_text"]


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place on a branch, without what every later cursor still knows.

    Attributes:
        reading: What the model answered there.
        decoder: The text decoder there.
        characters: Length of the generated text there.
        step: The step that was taken from there.
    """

    reading: Reading
    decoder: TextDecoder
    characters: int
    step: Step


@dataclass(frozen=True, slots=True)
class Turn:
    """New settings or new dice on a branch.

    Attributes:
        index: Index of the first step that they hold for.
        settings: The settings from there on.
        dice: The branch number whose dice are thrown from there on.
    """

    index: int
    settings: Settings
    dice: int


@dataclass(frozen=True, eq=False)
class Branch:
    """A line of steps, as a value: every method that moves gives another branch and leaves this one usable.

    Attributes:
        number: The number of the branch in its session.
        cursor: The place where the branch is now.
        turns: Where settings or dice change. After going back, some of them are ahead of the cursor.
        left: The latest places before the cursor, at most `window` of them.
        forced: Indices of the steps whose token was forced and not drawn.
        window: How many places to keep; None for all.
        parent: The number of the branch that this one comes from, and the index where they split; None for
            the first branch.
    """

    number: int
    cursor: Cursor
    turns: tuple[Turn, ...]
    left: tuple[_Place, ...] = ()
    forced: tuple[int, ...] = ()
    window: int | None = None
    parent: tuple[int, int] | None = None

    __repr__ = one_line

    @property
    def finish(self) -> str | None:
        """Why the text ended; None where it goes on."""
        return self.left[-1].step.finish if self.left else None

    @property
    def index(self) -> int:
        """Number of steps that have been taken."""
        return self.left[-1].step.index + 1 if self.finish else self.cursor.index

    @property
    def kept(self) -> tuple[Step, ...]:
        """The steps whose places are kept, in order."""
        return tuple(place.step for place in self.left)

    def take(self, force: int | None = None) -> Branch:
        """Return the branch one step further.

        Args:
            force: The token to take; None for the one that the draw chooses.

        Raises:
            MinilmError: The text has ended, the limit of tokens is reached, or no token can be chosen.
        """
        if self.finish:
            raise MinilmError(f"The text has ended ({self.finish}); go back a step to continue differently")
        limit = self.cursor.settings.max_tokens
        if limit is not None and self.cursor.index >= limit:
            raise MinilmError(f"The limit of {limit} tokens is reached; start with a higher one")
        step = self.cursor.peek(force)
        after = self.cursor if step.finish else self._adjust(self.cursor.after(step.decision.chosen.id))
        left = (*self.left, _place(self.cursor, step))
        forced = self.forced if force is None else (*self.forced, step.index)
        return replace(self, cursor=after, left=_latest(left, self.window), forced=forced)

    def back(self, steps: int = 1) -> Branch:
        """Return the branch as it was some steps ago.

        Going on from there meets the same turns, and so gives the same steps. Forced tokens are drawn.

        Args:
            steps: How many steps to go back, from 1.

        Raises:
            MinilmError: There are not so many steps.
        """
        index = self.index - steps
        if steps < 1 or index < 0:
            raise MinilmError(f"There are {self.index} steps to go back, got {steps}")
        forced = tuple(i for i in self.forced if i < index)
        if steps <= len(self.left):
            place, left = self.left[-steps], self.left[:-steps]
            cursor = self._cursor_at(place)
        else:
            cursor, left = self._read_again(index)
        return replace(self, cursor=self._adjust(cursor), left=left, forced=forced)

    def first(self) -> Cursor:
        """Return the cursor after the prompt, read again."""
        return self._adjust(next(self._from_prompt(0)))

    def steps(self) -> Iterator[Step]:
        """Yield every step from the prompt on. Those that are not kept are made again, bit for bit."""
        kept = self.index - len(self.left)
        for cursor in self._from_prompt(kept - 1) if kept else ():
            yield self._step_at(cursor)
        yield from self.kept

    def with_settings(self, **settings: Any) -> Branch:
        """Return the same place with other settings from here on; stages may be text."""
        return self._with_turn(self.cursor.with_settings(**settings))

    def with_watched(self, ids: tuple[int, ...]) -> Branch:
        """Return the same place with these ids followed through every stage, also after going back."""
        turns = tuple(replace(t, settings=replace(t.settings, watch=ids)) for t in self.turns)
        return replace(self, cursor=self.cursor.with_settings(watch=ids), turns=turns)

    def with_dice(self, dice: int) -> Branch:
        """Return the same place with the dice of another branch from here on."""
        return self._with_turn(self.cursor.with_branch(dice))

    def _adjust(self, cursor: Cursor) -> Cursor:
        """Return the cursor with the settings and the dice that hold at its place."""
        turn = next(turn for turn in reversed(self.turns) if turn.index <= cursor.index)
        if turn.settings is cursor.settings and turn.dice == cursor.branch:
            return cursor
        return replace(cursor, settings=turn.settings, branch=turn.dice)

    def _with_turn(self, cursor: Cursor) -> Branch:
        turns = tuple(turn for turn in self.turns if turn.index < self.index)
        return replace(self, cursor=cursor, turns=(*turns, Turn(self.index, cursor.settings, cursor.branch)))

    def _cursor_at(self, place: _Place) -> Cursor:
        return replace(
            self.cursor,
            ids=self.cursor.ids[: self.cursor.prompt_length + place.step.index],
            text=self.cursor.text[: place.characters],
            offset=place.step.offset,
            reading=place.reading,
            embedding=place.step.embedding,
            decoder=place.decoder,
        )

    def _read_again(self, index: int) -> tuple[Cursor, tuple[_Place, ...]]:
        """Return the cursor before the step of this index, and as many places before it as are kept."""
        last: deque[Cursor] = deque(self._from_prompt(index), maxlen=(self.window or index) + 1)
        left = [_place(cursor, self._step_at(cursor)) for cursor in list(last)[:-1]]
        return last[-1], tuple(left)

    def _from_prompt(self, index: int) -> Iterator[Cursor]:
        """Yield the cursors before the steps 0 to index, read again in the parts in which they were read."""
        settings, ids = self.turns[0].settings, self.cursor.ids
        prompt = self.cursor.prompt_length
        cursor = start_again(self.cursor, ids[:prompt].tolist(), settings)
        yield cursor
        for token_id in ids[prompt : prompt + index].tolist():
            cursor = cursor.after(token_id)
            yield cursor

    def _step_at(self, cursor: Cursor) -> Step:
        chosen = int(self.cursor.ids[len(cursor.ids)]) if cursor.index in self.forced else None
        return self._adjust(cursor).peek(chosen)


def start_again(cursor: Cursor, prompt: str | Sequence[int], settings: Settings) -> Cursor:
    """Return a cursor after another prompt, with the same model and codec."""
    asked = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return start(cursor.model, cursor.codec, prompt, **asked)


def _place(cursor: Cursor, step: Step) -> _Place:
    return _Place(cursor.reading, cursor.decoder, len(cursor.text), step)


def _latest(left: tuple[_Place, ...], window: int | None) -> tuple[_Place, ...]:
    return left if window is None else left[-window:]


@dataclass(frozen=True, slots=True)
class Merged:
    """The change of a branch's ids by a text that was put in.

    Attributes:
        text: The text.
        removed: The earlier ids that were replaced, because the tokenizer joins them with the text.
        of_prompt: How many of them were part of the prompt.
        added: The ids that are there now.
    """

    text: str
    removed: tuple[int, ...]
    of_prompt: int
    added: tuple[int, ...]


def with_text(branch: Branch, text: str) -> tuple[Branch, Merged]:
    """Return the branch with a text forced, token by token, and what that did to its ids.

    With the new text, the tokenizer may split the text before it differently. Then the branch goes back to
    the last id that stays. If that id is in the prompt, the prompt ends there.

    Args:
        branch: The branch.
        text: The text to put in.

    Raises:
        MinilmError: The text has no tokens, the branch has ended, or it ends before the whole text is in.
    """
    if branch.finish:
        raise MinilmError(f"The text has ended ({branch.finish}); go back a step to put in another one")
    ids = branch.cursor.ids.tolist()
    new, kept = branch.cursor.codec.merge(ids, text)
    prompt = branch.cursor.prompt_length
    merged = Merged(text, tuple(ids[kept:]), max(0, prompt - kept), tuple(new[kept:]))
    if not text or not merged.added:
        raise MinilmError(f"The text {text!r} adds no token; give one that does")
    if kept < prompt:
        head = max(kept, 1)
        branch, added = with_prompt(branch, new[:head]), new[head:]
    else:
        branch, added = branch.back(len(ids) - kept) if merged.removed else branch, new[kept:]
    for token_id in added:
        if branch.finish:
            raise MinilmError(f"The text would end ({branch.finish}) before {text!r} is in; put in less")
        branch = branch.take(token_id)
    return branch, merged


def with_prompt(branch: Branch, prompt: str | Sequence[int]) -> Branch:
    """Return the branch at the end of another prompt; what it had generated is gone."""
    now = branch.cursor
    cursor = start_again(now, prompt, now.settings).with_branch(now.branch)
    turns = (Turn(0, now.settings, now.branch),)
    return replace(branch, cursor=cursor, left=(), forced=(), turns=turns)
