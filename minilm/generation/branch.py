"""One branch of a debugging session: a cursor, the places it left behind, and how each step was asked for.

Going back takes a kept place; past the window of kept places the context is read again, in the same parts
(the prompt whole, then token by token), so the numbers are the same bit for bit.
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

__all__ = ["Branch", "Merged", "Turn", "begun", "with_prompt", "with_text"]


@dataclass(frozen=True, slots=True, eq=False)
class _Left:
    """A place that was left, without what every later cursor still knows; step: the one that left it."""

    reading: Reading
    decoder: TextDecoder
    characters: int
    step: Step


@dataclass(frozen=True, slots=True)
class Turn:
    """From the step of this index on, these settings and these dice."""

    index: int
    settings: Settings
    dice: int


@dataclass(frozen=True, eq=False)
class Branch:
    """A line of steps, as a value: every move gives another one.

    number: its name; parent: the number of the branch it left, and the index at which, or None;
    cursor: where it stands; left: the latest places, window at most (None: all); turns: when settings
    or dice change, ahead of the cursor too after going back; forced: the indices of the tokens that were
    not drawn.
    """

    number: int
    cursor: Cursor
    turns: tuple[Turn, ...]
    left: tuple[_Left, ...] = ()
    forced: tuple[int, ...] = ()
    window: int | None = None
    parent: tuple[int, int] | None = None

    __repr__ = one_line

    @property
    def finish(self) -> str | None:
        """Why the text ended, or None where it goes on."""
        return self.left[-1].step.finish if self.left else None

    @property
    def index(self) -> int:
        """How many steps have been taken."""
        return self.left[-1].step.index + 1 if self.finish else self.cursor.index

    @property
    def kept(self) -> tuple[Step, ...]:
        """The steps whose places are kept, the last one last."""
        return tuple(place.step for place in self.left)

    def taken(self, force: int | None = None) -> Branch:
        """One step further, with the drawn token or this one. Raises MinilmError after the end."""
        if self.finish:
            raise MinilmError(f"The text has ended ({self.finish}); go back a step to go on otherwise")
        limit = self.cursor.settings.max_tokens
        if limit is not None and self.cursor.index >= limit:
            raise MinilmError(f"The limit of {limit} tokens is reached; start with a higher one")
        step = self.cursor.peek(force)
        after = self.cursor if step.finish else self._set(self.cursor.after(step.decision.chosen.id))
        left = (*self.left, _left(self.cursor, step))
        forced = self.forced if force is None else (*self.forced, step.index)
        return replace(self, cursor=after, left=_latest(left, self.window), forced=forced)

    def back(self, steps: int = 1) -> Branch:
        """As it was this many steps ago. Raises MinilmError where that lies before the prompt's end.

        Going on meets the same turns, and so gives the same steps; a forced token alone is drawn again.
        """
        index = self.index - steps
        if steps < 1 or index < 0:
            raise MinilmError(f"There are {self.index} steps to go back, got {steps}")
        forced = tuple(i for i in self.forced if i < index)
        if steps <= len(self.left):
            place, left = self.left[-steps], self.left[:-steps]
            cursor = self._again_at(place)
        else:
            cursor, left = self._read_again(index)
        return replace(self, cursor=self._set(cursor), left=left, forced=forced)

    def first(self) -> Cursor:
        """The cursor after the prompt, read again."""
        return self._set(next(self._from_prompt(0)))

    def steps(self) -> Iterator[Step]:
        """Every step from the prompt on; those past the window are made again, equal bit for bit."""
        kept = self.index - len(self.left)
        for cursor in self._from_prompt(kept - 1) if kept else ():
            yield self._step_at(cursor)
        yield from self.kept

    def changed(self, **settings: Any) -> Branch:
        """The same place, with other settings from here on (stages may be text)."""
        return self._turned(self.cursor.with_settings(**settings))

    def watching(self, ids: tuple[int, ...]) -> Branch:
        """The same place; these ids are followed from here on, after going back too."""
        turns = tuple(replace(t, settings=replace(t.settings, watch=ids)) for t in self.turns)
        return replace(self, cursor=self.cursor.with_settings(watch=ids), turns=turns)

    def with_dice(self, dice: int) -> Branch:
        """The same place, with the dice of another branch from here on."""
        return self._turned(self.cursor.branched(dice))

    def _set(self, cursor: Cursor) -> Cursor:
        """The cursor with the settings and the dice that hold at its place."""
        turn = next(turn for turn in reversed(self.turns) if turn.index <= cursor.index)
        if turn.settings is cursor.settings and turn.dice == cursor.branch:
            return cursor
        return replace(cursor, settings=turn.settings, branch=turn.dice)

    def _turned(self, cursor: Cursor) -> Branch:
        turns = tuple(turn for turn in self.turns if turn.index < self.index)
        return replace(self, cursor=cursor, turns=(*turns, Turn(self.index, cursor.settings, cursor.branch)))

    def _again_at(self, place: _Left) -> Cursor:
        return replace(
            self.cursor,
            ids=self.cursor.ids[: self.cursor.prompt_length + place.step.index],
            text=self.cursor.text[: place.characters],
            offset=place.step.offset,
            reading=place.reading,
            embedding=place.step.embedding,
            decoder=place.decoder,
        )

    def _read_again(self, index: int) -> tuple[Cursor, tuple[_Left, ...]]:
        """The cursor before the step of this index, and the places before it that a window holds."""
        last: deque[Cursor] = deque(self._from_prompt(index), maxlen=(self.window or index) + 1)
        left = [_left(cursor, self._step_at(cursor)) for cursor in list(last)[:-1]]
        return last[-1], tuple(left)

    def _from_prompt(self, index: int) -> Iterator[Cursor]:
        """The cursors before the steps 0 to index, read again in the parts in which they were read."""
        settings, ids = self.turns[0].settings, self.cursor.ids
        prompt = self.cursor.prompt_length
        cursor = begun(self.cursor, ids[:prompt].tolist(), settings)
        yield cursor
        for token_id in ids[prompt : prompt + index].tolist():
            cursor = cursor.after(token_id)
            yield cursor

    def _step_at(self, cursor: Cursor) -> Step:
        chosen = int(self.cursor.ids[len(cursor.ids)]) if cursor.index in self.forced else None
        return self._set(cursor).peek(chosen)


def begun(cursor: Cursor, prompt: str | Sequence[int], settings: Settings) -> Cursor:
    """A cursor after another prompt, with the same model and codec."""
    asked = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return start(cursor.model, cursor.codec, prompt, **asked)


def _left(cursor: Cursor, step: Step) -> _Left:
    return _Left(cursor.reading, cursor.decoder, len(cursor.text), step)


def _latest(left: tuple[_Left, ...], window: int | None) -> tuple[_Left, ...]:
    return left if window is None else left[-window:]


@dataclass(frozen=True, slots=True)
class Merged:
    """What putting a text in did.

    removed: the earlier ids that the merge replaced, often none; of_prompt: how many of them stood in
    the prompt; added: the ids that stand there now.
    """

    text: str
    removed: tuple[int, ...]
    of_prompt: int
    added: tuple[int, ...]


def with_text(branch: Branch, text: str) -> tuple[Branch, Merged]:
    """The branch with this text forced, token by token, and what that did to its ids.

    Where the tokenizer would have cut the text before it otherwise, the branch goes back to the last id
    that stays; where that lies in the prompt, the prompt ends there. Raises MinilmError for a text without
    tokens, after the end, and where the end comes before the whole text is in.
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
        branch = branch.taken(token_id)
    return branch, merged


def with_prompt(branch: Branch, prompt: str | Sequence[int]) -> Branch:
    """The branch begun anew after another prompt; what it had generated is gone."""
    now = branch.cursor
    cursor = begun(now, prompt, now.settings).branched(now.branch)
    turns = (Turn(0, now.settings, now.branch),)
    return replace(branch, cursor=cursor, left=(), forced=(), turns=turns)
