"""The generation loop. A cursor is a place in a generation, and moving makes a new cursor.

peek() looks at the next step without moving. advance() gives the next cursor, for a drawn and for a forced
token alike. Old cursors stay usable, so going back or starting a branch only means keeping an old cursor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from minilm.dice import draw
from minilm.errors import MinilmError
from minilm.generation.settings import Settings, bind
from minilm.numerics import cosine
from minilm.protocols import LanguageModel, TextCodec, TextDecoder
from minilm.records import Array, Embedding, Reading, Step, frozen_array
from minilm.sampling import Context, Stage, decide
from minilm.sampling.sensitivity import Margins, find_margins
from minilm.token_text import TokenTexts

__all__ = ["Cursor", "start", "stream"]


@dataclass(frozen=True, eq=False)
class Cursor:
    """A place in a generation: what has been read, what the model answered, the text so far.

    Attributes:
        model: The model.
        codec: Its tokenizer.
        settings: Stages, seed, limits and so on.
        texts: Gives the text and the bytes of an id.
        ids (n,): Everything that has been read, the prompt included.
        prompt_length: How many of the ids are the prompt.
        reading: The model's answer to the ids.
        embedding: The embedding of the last id.
        decoder: The text decoder after the last id.
        text: The generated text.
        offset: Length of the generated text in bytes of UTF-8.
        branch: The number of the branch whose dice are thrown.
    """

    model: LanguageModel = field(repr=False)
    codec: TextCodec = field(repr=False)
    settings: Settings
    texts: TokenTexts = field(repr=False)
    ids: Array = field(repr=False)
    prompt_length: int
    reading: Reading = field(repr=False)
    embedding: Embedding = field(repr=False)
    decoder: TextDecoder = field(repr=False)
    text: str = ""
    offset: int = 0
    branch: int = 0

    @property
    def index(self) -> int:
        """Number of tokens that have been generated."""
        return len(self.ids) - self.prompt_length

    @property
    def context(self) -> Context:
        """The facts about this place that the stages are given."""
        return Context(self.ids, self.prompt_length, self.settings.eos_ids, self.settings.max_tokens)

    def peek(self, force: int | None = None) -> Step:
        """Return the next step without moving.

        Args:
            force: The token to take; None for the one that the draw chooses.
        """
        return self._next if force is None else self._step(force)

    def advance(self, token_id: int | None = None) -> Cursor:
        """Return the cursor after the next step; this cursor stays usable.

        Args:
            token_id: The token to take; None for the one that the draw chooses.
        """
        return self.after(self.peek(token_id).decision.chosen.id)

    def after(self, token_id: int) -> Cursor:
        """Return the cursor after a token. Nothing is decided here."""
        reading = self.model.read([token_id], self.reading.state, inner=self.settings.inner)
        decoder = self.decoder.copy()
        new_text = decoder.push(token_id)
        ids = np.empty(self.ids.size + 1, np.int64)
        ids[:-1], ids[-1] = self.ids, token_id
        # Every field is written out, because dataclasses.replace costs a tenth of a step.
        return Cursor(
            self.model,
            self.codec,
            self.settings,
            self.texts,
            frozen_array(ids),
            self.prompt_length,
            reading,
            _embedding(reading, self.embedding),
            decoder,
            self.text + new_text,
            self.offset + len(new_text.encode()),
            self.branch,
        )

    def steps(self) -> Iterator[Step]:
        """Yield every step from here until EOS, a stop string, the limit or the end of the context."""
        for cursor in self.cursors():
            yield cursor.peek()

    def cursors(self) -> Iterator[Cursor]:
        """Yield the cursor of every such step. Its peek() is the step, its reading has the logits."""
        cursor, limit = self, self.settings.max_tokens
        while limit is None or cursor.index < limit:
            yield cursor
            if cursor.peek().finish:
                return
            cursor = cursor.advance()

    def with_branch(self, branch: int) -> Cursor:
        """Return the same place with the dice of another branch."""
        return replace(self, branch=branch)

    def with_settings(self, **changes: Any) -> Cursor:
        """Return the same place with other settings; stages may be text."""
        if "stages" in changes:
            changes["stages"] = bind(changes["stages"], self.codec)
        return replace(self, settings=replace(self.settings, **changes))

    def margins(self) -> Margins:
        """Return how near the next step is to another token. This runs the stages hundreds of times."""
        return find_margins(self.reading.logits[-1], self.context, self.settings.stages, self._draw)

    @property
    def _draw(self) -> float | None:
        """The draw of the next step, keyed by the position of the last id; None where nothing is drawn."""
        return draw(self.settings.seed, len(self.ids) - 1, self.branch) if self.settings.draws else None

    @cached_property
    def _next(self) -> Step:
        return self._step(None)

    def _step(self, force: int | None) -> Step:
        if force is not None and not 0 <= force < self.model.vocab_size:
            raise MinilmError(f"Id {force} is not in the vocabulary of {self.model.vocab_size}")
        position = len(self.ids) - 1
        settings = self.settings
        try:
            decision = decide(
                self.reading.logits[-1],
                self.context,
                settings.stages,
                self._draw,
                self.texts,
                top=settings.top,
                watch=settings.watch,
                forced=force,
            )
        except MinilmError as error:
            raise MinilmError(f"Step {self.index + 1} cannot be taken: {error}") from error
        decoder = self.decoder.copy()
        new_text = decoder.push(decision.chosen.id)
        finish, why = self._finish(decision.chosen.id, new_text)
        if why:
            decision = replace(decision, reason=f"{decision.reason}; {why}")
        if finish:
            new_text += decoder.flush()
        read = int(self.ids[-1])
        facts = (self.embedding, decision, new_text, self.offset, finish, self.branch)
        return Step(self.index, position, read, *self.texts(read), *facts)

    def _finish(self, chosen: int, new_text: str) -> tuple[str | None, str | None]:
        """Return why the text ends with this token (None where it goes on), and the reason of a stage."""
        if chosen in self.settings.eos_ids:
            return "eos", None
        if any(s in self.text[-len(s) :] + new_text for s in self.settings.stop):
            return "stop", None
        if self.settings.ending and (why := self._ending(chosen)):
            return "constraint", why
        if self.model.context_size is not None and len(self.ids) >= self.model.context_size:
            return "context", None
        if self.settings.max_tokens is not None and self.index + 1 >= self.settings.max_tokens:
            return "length", None
        return None, None

    def _ending(self, chosen: int) -> str | None:
        after = replace(self.context, ids=np.append(self.ids, chosen))
        return next((why for stage in self.settings.ending if (why := stage.ending(after))), None)


def start(
    model: LanguageModel,
    codec: TextCodec,
    prompt: str | Sequence[int],
    stages: Sequence[Stage] | str = (),
    seed: int = 0,
    *,
    max_tokens: int | None = 100,
    stop: Sequence[str] = (),
    top: int = 10,
    watch: Sequence[int] = (),
    eos_ids: Sequence[int] | None = None,
    inner: Sequence[str] = (),
    branch: int = 0,
) -> Cursor:
    """Return a cursor that has read the whole prompt.

    Args:
        model: The model.
        codec: Its tokenizer.
        prompt: A text, which begins as the model's own texts begin (with BOS, where it has one), or ids.
        stages: The sampling pipeline, or its text such as "Temperature(0.8) TopK(40)".
        seed: Seed of the dice.
        max_tokens: The most new tokens; None for no limit.
        stop: Strings that end the text as soon as it contains one.
        top: How many candidates a step records.
        watch: Ids to follow through every stage.
        eos_ids: Ids that end a text; None for the EOS of the codec.
        inner: Names of arrays to ask the model for.
        branch: The number of the branch whose dice are thrown.

    Raises:
        MinilmError: The prompt is empty, an id is not in the vocabulary, the prompt does not fit into
            the context, or a setting makes no sense.
    """
    ids = _prompt_ids(codec, prompt)
    if outside := [i for i in watch if not 0 <= i < model.vocab_size]:
        raise MinilmError(f"Id {outside[0]} to watch is not in the vocabulary of {model.vocab_size}")
    if eos_ids is None:
        eos_ids = [codec.special_ids["eos"]] if "eos" in codec.special_ids else []
    asked = tuple(stop), top, tuple(watch), tuple(eos_ids), tuple(inner)
    settings = Settings(bind(stages, codec), seed, max_tokens, *asked)
    reading = model.read(ids, inner=settings.inner)
    decoder = codec.stream()
    for token_id in ids:
        decoder.push(token_id)
    return Cursor(
        model,
        codec,
        settings,
        TokenTexts(codec),
        frozen_array(ids, np.int64),
        len(ids),
        reading,
        _embedding(reading, None),
        decoder,
        branch=branch,
    )


def stream(
    model: LanguageModel,
    codec: TextCodec,
    prompt: str | Sequence[int],
    stages: Sequence[Stage] | str = (),
    seed: int = 0,
    **settings: Any,
) -> Iterator[Step]:
    """Generate: yield a Step per token until EOS, a stop string, the limit or the end of the context.

    Args:
        model: The model.
        codec: Its tokenizer.
        prompt: A text or ids.
        stages: The sampling pipeline, or its text.
        seed: Seed of the dice.
        **settings: Everything else that start() takes.

    Raises:
        MinilmError: What start() raises, before the first step.
    """
    return start(model, codec, prompt, stages, seed, **settings).steps()


def _prompt_ids(codec: TextCodec, prompt: str | Sequence[int]) -> list[int]:
    if isinstance(prompt, str):
        if not prompt:
            raise MinilmError(
                "The prompt is empty, so there is nothing to read; give a text, or the id of the "
                "beginning-of-text token alone"
            )
        return codec.encode(prompt, special=True)
    ids = np.array(prompt, dtype=object)
    if ids.shape == (0,):
        raise MinilmError("The prompt has no ids, so there is nothing to read; give at least one")
    if ids.ndim != 1 or not all(isinstance(i, int | np.integer) for i in ids):
        raise MinilmError(f"A prompt is a text or a list of whole numbers, got {str(prompt)[:40]}")
    return [int(i) for i in ids]


def _embedding(reading: Reading, before: Embedding | None) -> Embedding:
    """Return the embedding of the last id that was read.

    Args:
        reading: The model's answer.
        before: The embedding of the id before, where an earlier reading has it.
    """
    vectors = reading.embeddings  # (T, E)
    vector = frozen_array(vectors[-1])
    norm = math.sqrt(vector.dot(vector))
    if len(vectors) > 1:
        between: float | None = cosine(vector, vectors[-2])
    elif before is None:
        between = None
    else:
        length = norm * before.norm
        between = float(vector.dot(before.vector)) / length if length else 0.0
    return Embedding(vector.shape, norm, vector, between)
