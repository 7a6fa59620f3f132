"""One prompt through a training: the same ids and dice at many places of it, and what one update did.

The places are a timeline's, or models that were saved; an update's effect is its difference before and
after, and, to first order, each parameter's share in it.
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

__all__ = ["Prediction", "PromptMoment", "UpdateEffect", "effect_of_update", "places", "through_training"]


@dataclass(frozen=True, slots=True)
class PromptMoment:
    """What a model made of a prompt after `index` updates.

    text: what it wrote, always with the same dice; entropy: of the first token's distribution, in nats;
    p and rank: of the watched word there; norm: of that word's embedding; drift: 1 - its cosine to the first
    moment's; gates: of layer 0 at the last token of the prompt, None for a model that shows none.
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
    """One possible next token, before and after an update."""

    id: int
    text: str
    bytes: bytes
    p_before: float
    p_after: float


@dataclass(frozen=True, slots=True)
class UpdateEffect:
    """What one update (the step `index`, from 1) did to the prediction after a prompt.

    change: of the watched token's log-probability; shares: what each parameter's update gave to it, to first
    order; rest: what is left of the change; predictions: the watched token, then the likeliest.
    """

    index: int
    watched: Prediction
    change: float
    shares: Mapping[str, float]
    rest: float
    predictions: tuple[Prediction, ...]

    __repr__ = one_line


def places(timeline: Timeline, steps: Iterable[int]) -> Iterator[tuple[int, Inspectable]]:
    """The model at several places of a training, each valid until the next is asked for."""
    return ((index, cast(Inspectable, timeline.jump(index).model)) for index in steps)


def through_training(
    models: Iterable[tuple[int, Inspectable]],
    codec: TextCodec,
    prompt: str,
    *,
    stages: str = "Temperature(0.8) TopK(40)",
    seed: int = 0,
    max_tokens: int = 20,
    word: str | None = None,
) -> Iterator[PromptMoment]:
    """A moment for every (updates made, model).

    word: whose first token is watched, read as in every command (token_text.py); the last
    token of the prompt unless given.
    """
    ids = codec.encode(prompt, special=True)
    watched = _watched(codec, ids, word)
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
            _gates(model, ids, index),
        )


def effect_of_update(
    timeline: Timeline, codec: TextCodec, prompt: str, word: str | None = None, top: int = 5
) -> UpdateEffect:
    """What the next update of a timeline does to the prediction after a prompt; the place stays usable.

    word: whose first token is watched; the likeliest token before the update unless given.
    """
    ids, updates = codec.encode(prompt, special=True), timeline.updates()
    model = timeline.model
    before = np.array(log_softmax(model.read(ids).logits[-1]))
    watched = int(before.argmax()) if word is None else _watched(codec, ids, word)
    shares = _shares(model, ids, watched, updates)
    after = np.array(log_softmax(timeline.next().model.read(ids).logits[-1]))
    change = float(after[watched] - before[watched])
    likeliest = [*np.argsort(-before, kind="stable")[:top], *np.argsort(-after, kind="stable")[:top]]
    texts = TokenTexts(codec)

    def prediction(token: int) -> Prediction:
        return Prediction(token, *texts(token), float(np.exp(before[token])), float(np.exp(after[token])))

    listed = dict.fromkeys(int(token) for token in likeliest if token != watched)
    rest = change - sum(shares.values())
    predictions = (prediction(watched), *map(prediction, listed))
    return UpdateEffect(timeline.index + 1, predictions[0], change, shares, rest, predictions)


def _shares(
    model: Trainable, ids: Sequence[int], target: int, updates: Mapping[str, Array]
) -> dict[str, float]:
    """Per parameter: the gradient of the target's log-probability times the update."""
    inputs, mask = np.array([ids]), np.zeros((1, len(ids)), np.float32)
    targets = np.zeros_like(inputs)
    targets[0, -1], mask[0, -1] = target, 1
    gradients = model.gradients(inputs, targets, mask).arrays  # of the loss, -log p
    return {name: -float(np.vdot(gradients[name], update)) for name, update in updates.items()}


def _watched(codec: TextCodec, ids: Sequence[int], word: str | None) -> int:
    if word is None:
        return int(ids[-1])
    found = ids_of(word, codec).id
    if found >= codec.vocab_size:
        raise MinilmError(f"Id {found} to watch is not in the vocabulary of {codec.vocab_size}")
    return found


def _gates(model: Inspectable, ids: Sequence[int], index: int) -> GateRow | None:
    return gate_moment(model, ids, 0, index).rows()[-1] if isinstance(model, Trainable) else None
