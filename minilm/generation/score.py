"""Scores a given text with a model: surprisal, rank and candidates of every token, without generating.

Nothing is drawn and no stage is applied: these are the model's own probabilities. A text that is longer than
the model's context is read in windows that overlap by half, and every record says how many came before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import LanguageModel, TextCodec
from minilm.records import Array, Candidate
from minilm.sampling import Context, decide
from minilm.token_text import TokenTexts

__all__ = ["TextScore", "TokenScore", "score", "total"]

# How many tokens are read at once, so that (128, V) logits are the most in memory however long the text is.
_CHUNK = 128


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of a given text, and what the model expected in its place.

    Before the first token nothing was read, so nothing was expected: surprisal, rank and entropy are None.

    Attributes:
        position: Place of the token, from 0.
        id: The token.
        text: The token as text.
        bytes: The bytes that the token adds to the text.
        size: How many bytes of text it completes, without a space that the tokenizer itself put in front.
        context: How many tokens before it were read.
        surprisal: -ln p of the token, in nats.
        rank: Its place over the whole vocabulary, from 1.
        entropy: Entropy of the distribution, in nats.
        candidates: Likely tokens, best first; the token itself is always among them.
    """

    position: int
    id: int
    text: str
    bytes: bytes
    size: int
    context: int
    surprisal: float | None = None
    rank: int | None = None
    entropy: float | None = None
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class TextScore:
    """A text in a few numbers.

    Attributes:
        tokens: How many tokens were scored.
        bytes: How many bytes of text they complete.
        surprisal: The sum of their surprisal, in nats.
    """

    tokens: int
    bytes: int
    surprisal: float

    @property
    def per_token(self) -> float | None:
        """Perplexity per token: e to the mean surprisal; None where no token was scored."""
        return _perplexity(self.surprisal, self.tokens)

    @property
    def per_byte(self) -> float | None:
        """Perplexity per byte of text, which compares models with different tokenizers."""
        return _perplexity(self.surprisal, self.bytes)


def score(
    model: LanguageModel, codec: TextCodec, text: str | Sequence[int], *, top: int = 5
) -> Iterator[TokenScore]:
    """Yield a TokenScore for every token of a text.

    Args:
        model: The model.
        codec: Its tokenizer.
        text: A text, which begins as the model's own texts begin (with BOS, where it has one), or ids.
        top: How many candidates each record keeps.

    Raises:
        MinilmError: The text is empty, an id is not in the vocabulary, or logits are not finite.
    """
    ids = codec.encode(text, special=True) if isinstance(text, str) else [int(i) for i in text]
    if not ids or text == "":
        raise MinilmError("There is nothing to score: the text is empty; give one token or more")
    if outside := [i for i in ids if not 0 <= i < model.vocab_size]:
        raise MinilmError(f"Id {outside[0]} is not in the vocabulary of {model.vocab_size}")
    if top < 1:
        raise MinilmError(f"The number of candidates to show must be 1 or more, got {top}")
    return _scores(model, codec, ids, top)


def total(tokens: Iterable[TokenScore]) -> TextScore:
    """Return the sums over the tokens that were scored.

    >>> total([TokenScore(0, 1, "<BOS>", b"", 0, 0), TokenScore(1, 5, "ab", b"ab", 2, 1, math.log(4))])
    TextScore(tokens=1, bytes=2, surprisal=1.3862943611198906)
    """
    scored = [(t.size, t.surprisal) for t in tokens if t.surprisal is not None]
    return TextScore(len(scored), sum(size for size, _ in scored), math.fsum(s for _, s in scored))


def _perplexity(surprisal: float, number: int) -> float | None:
    if not number:
        return None
    return math.exp(surprisal / number) if surprisal / number < 700 else math.inf


def _scores(model: LanguageModel, codec: TextCodec, ids: list[int], top: int) -> Iterator[TokenScore]:
    texts, decoder = TokenTexts(codec), codec.stream()
    yield TokenScore(0, ids[0], *texts(ids[0]), len(decoder.push(ids[0]).encode()), 0)
    # Slices of one array are views: a copy for every token would take quadratic time.
    array = np.array(ids)
    for position, logits, context in _rows(model, ids):
        token_id = ids[position]
        before = Context(array[position - context : position])
        try:
            decision = decide(logits, before, (), None, texts, top=top, forced=token_id)
        except MinilmError as error:
            raise MinilmError(f"Token {position + 1} cannot be scored: {error}") from error
        found = decision.chosen
        yield TokenScore(
            position,
            token_id,
            found.text,
            found.bytes,
            len(decoder.push(token_id).encode()),
            context,
            max(-found.logp_model, 0.0),
            found.rank,
            decision.raw.entropy,
            decision.candidates,
        )


def _rows(model: LanguageModel, ids: list[int]) -> Iterator[tuple[int, Array, int]]:
    """Yield, from position 1 on: the position, the logits (V,) before it, and how many tokens were read."""
    window = model.context_size or len(ids)
    # The state has read ids[start:at].
    start, state, at = 0, None, 0
    while at < len(ids) - 1:
        # The window is full: its newer half is read again, and no token is scored twice.
        if at - start >= window:
            start = at - window // 2
            state = model.read(ids[start:at], None).state if at > start else None
        end = min(at + _CHUNK, start + window, len(ids) - 1)
        reading = model.read(ids[at:end], state, rows="all")
        for place, logits in enumerate(reading.logits):
            yield at + place + 1, logits, at + place + 1 - start
        state, at = reading.state, end
