"""One prompt through a training: the same ids and draws at many places of it, and the effect of one update.

The places come from a timeline, or from saved models. The effect of an update is the difference before and
after it, and, to first order, the share of each parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.generation import start
from minilm.numerics import cosine, log_softmax, rank
from minilm.protocols import Inspectable, TextCodec, Trainable
from minilm.records import Array
from minilm.token_text import TokenTexts, ids_of
from minilm.training.timeline.gates import GateRow, gate_moment
from minilm.training.timeline.timeline import Timeline

__all__ = [
    "Prediction",
    "PromptMoment",
    "UpdateEffect",
    "follow_prompt",
    "measure_update",
    "spread_steps",
    "visit_steps",
]


@dataclass(frozen=True, slots=True)
class PromptMoment:
    """A model's answer to a prompt after some updates.

    Attributes:
        index: how many updates were made.
        text: what the model wrote, always with the same draws.
        ids: the ids of that text.
        entropy: of the first token's distribution, in nats.
        watched: the text of the watched token.
        p: the probability of the watched token after the prompt.
        rank: its rank there, from 1.
        norm: the length of its embedding.
        drift: 1 - the cosine of its embedding to that of the first moment.
        gates: the gates of layer 0 at the last token of the prompt; None for a model that shows none.
    """

    index: int
    text: str
    ids: tuple[int, ...]
    entropy: float
    watched: str
    p: float
    rank: int
    norm: float
    drift: float
    gates: GateRow | None

    __repr__ = one_line


@dataclass(frozen=True, slots=True)
class Prediction:
    """One possible next token, before and after an update.

    Attributes:
        id: the token.
        text: its text.
        bytes: its bytes.
        p_before: its probability before the update.
        p_after: its probability after the update.
    """

    id: int
    text: str
    bytes: bytes
    p_before: float
    p_after: float


@dataclass(frozen=True, slots=True)
class UpdateEffect:
    """The effect of one update on the prediction after a prompt.

    Attributes:
        index: the number of the step, from 1.
        watched: the watched token.
        change: the change of its log-probability.
        shares: the part of that change, to first order, that each parameter's update makes.
        rest: the change without these parts.
        predictions: the watched token, then the likeliest before and after.
    """

    index: int
    watched: Prediction
    change: float
    shares: Mapping[str, float]
    rest: float
    predictions: tuple[Prediction, ...]

    __repr__ = one_line


def visit_steps(timeline: Timeline, steps: Iterable[int]) -> Iterator[tuple[int, Inspectable]]:
    """Yield the model after some numbers of updates; each is valid until the next is asked for.

    Args:
        timeline: a training.
        steps: the numbers of updates.
    """
    return ((index, cast(Inspectable, timeline.jump(index).model)) for index in steps)


def spread_steps(first: int, last: int, most: int = 12) -> list[int]:
    """Return at most `most` numbers of updates, evenly spaced from the first to the last.

    >>> spread_steps(0, 100, most=5)
    [0, 25, 50, 75, 100]
    """
    count = min(most, last - first + 1)
    return sorted({first + round(n * (last - first) / max(1, count - 1)) for n in range(count)})


def follow_prompt(
    models: Iterable[tuple[int, Inspectable]],
    codec: TextCodec,
    prompt: str,
    *,
    stages: str = "Temperature(0.8) TopK(40)",
    seed: int = 0,
    max_tokens: int = 20,
    word: str | None = None,
) -> Iterator[PromptMoment]:
    """Read one prompt with every model, and yield a moment for each.

    Args:
        models: pairs of (updates made, model), such as visit_steps gives.
        codec: the tokenizer of all models.
        prompt: the text to read.
        stages: the sampling stages as text.
        seed: the seed of the draws, the same for every model.
        max_tokens: the most new tokens.
        word: the word whose first token is watched, read as in every command (token_text.py); None watches
            the last token of the prompt.
    """
    ids = codec.encode(prompt, special=True)
    watched = _find_watched(codec, ids, word)
    texts, first = TokenTexts(codec), None
    for index, model in models:
        cursor = start(model, codec, prompt, stages, seed, max_tokens=max_tokens)
        logits, steps = cursor.reading.logits[-1], list(cursor.steps())
        vector = np.array(model.embedding_table()[watched], np.float64)
        first = vector if first is None else first
        yield PromptMoment(
            index,
            "".join(step.new_text for step in steps),
            tuple(step.decision.chosen.id for step in steps),
            steps[0].decision.raw.entropy if steps else 0.0,
            texts(watched)[0],
            float(np.exp(log_softmax(logits)[watched])),
            rank(logits, watched),
            float(np.linalg.norm(vector)),
            1 - cosine(vector, first),
            _last_gates(model, ids, index),
        )


def measure_update(
    timeline: Timeline, codec: TextCodec, prompt: str, word: str | None = None, top: int = 5
) -> UpdateEffect:
    """Measure how the next update of a timeline changes the prediction after a prompt.

    Args:
        timeline: the place before the update; it stays usable.
        codec: the tokenizer of the model.
        prompt: the text to read.
        word: the word whose first token is watched; None watches the likeliest token before the update.
        top: how many of the likeliest tokens to list, before and after.
    """
    ids, updates = codec.encode(prompt, special=True), timeline.updates()
    model = timeline.model
    before = np.array(log_softmax(model.read(ids).logits[-1]))
    watched = int(before.argmax()) if word is None else _find_watched(codec, ids, word)
    shares = _share_change(model, ids, watched, updates)
    after = np.array(log_softmax(timeline.next().model.read(ids).logits[-1]))
    change = float(after[watched] - before[watched])
    likeliest = [*np.argsort(-before, kind="stable")[:top], *np.argsort(-after, kind="stable")[:top]]
    texts = TokenTexts(codec)

    def predict(token: int) -> Prediction:
        return Prediction(token, *texts(token), float(np.exp(before[token])), float(np.exp(after[token])))

    others = dict.fromkeys(int(token) for token in likeliest if token != watched)
    rest = change - sum(shares.values())
    predictions = (predict(watched), *map(predict, others))
    return UpdateEffect(timeline.index + 1, predictions[0], change, shares, rest, predictions)


def _share_change(
    model: Trainable, ids: Sequence[int], target: int, updates: Mapping[str, Array]
) -> dict[str, float]:
    """Return, for each parameter, the change of the target's log-probability to first order.

    log p(w + update) - log p(w) is about sum over parameters of (d log p / d w) . update
    """
    inputs, mask = np.array([ids]), np.zeros((1, len(ids)), np.float32)
    targets = np.zeros_like(inputs)
    targets[0, -1], mask[0, -1] = target, 1
    # The loss is -log p, so its gradient has the opposite sign.
    gradients = model.gradients(inputs, targets, mask).arrays
    return {name: -float(np.vdot(gradients[name], update)) for name, update in updates.items()}


def _find_watched(codec: TextCodec, ids: Sequence[int], word: str | None) -> int:
    if word is None:
        return int(ids[-1])
    found = ids_of(word, codec).id
    if found >= codec.vocab_size:
        raise MinilmError(f"Id {found} to watch is not in the vocabulary of {codec.vocab_size}")
    return found


def _last_gates(model: Inspectable, ids: Sequence[int], index: int) -> GateRow | None:
    return gate_moment(model, ids, 0, index).rows()[-1] if isinstance(model, Trainable) else None
