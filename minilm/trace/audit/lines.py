"""What the lines of a trace owe to one another: a step to what was asked and to the step before it.

What a step owes to itself is in trace_identities.py; the lines are read in trace_check.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minilm.dice import draw
from minilm.numerics import cosine
from minilm.records import Candidate, Step
from minilm.trace.audit.distributions import apart

__all__ = ["Names", "asked_owes", "follows", "vocabulary_owes"]


class Names:
    """Which text and bytes every id has had so far; a vocabulary, where there is one, tells them all."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str | None, bytes]] = {}

    def learn(self, vocabulary: Mapping[str, Any]) -> None:
        """Take the bytes of every token, and the names of those that have none."""
        for token_id, raw in enumerate(vocabulary["bytes"]):
            self._known[token_id] = (vocabulary["names"].get(str(token_id)), bytes.fromhex(raw))

    def owes(self, step: Step) -> Iterator[str]:
        """Where a token of the step has another text or other bytes than it had before."""
        for token in (step, *step.decision.candidates, step.decision.chosen):
            text, raw = self._known.get(token.id, (None, token.bytes))
            if raw != token.bytes or text not in (None, token.text):
                yield f"id {token.id} is {token.text!r} {token.bytes.hex()} here, {text!r} {raw.hex()} before"
            self._known[token.id] = (token.text if text is None else text, raw)


def vocabulary_owes(start: Mapping[str, Any] | None, vocabulary: Mapping[str, Any]) -> Iterator[str]:
    """What the list of all tokens owes to their number."""
    size = len(vocabulary["bytes"])
    if start and start["vocab_size"] != size:
        yield f"the vocabulary lists {size} tokens, the model scores {start['vocab_size']}"


def asked_owes(start: Mapping[str, Any], step: Step) -> Iterator[tuple[str, str]]:
    """What a step owes to the first line: dice, candidates, the end, and the size of the vocabulary."""
    decision, size = step.decision, start["vocab_size"]
    if decision.u is not None:
        owed = draw(start["seed"], step.position, step.branch)
        if decision.u != owed:
            yield "dice", f"the draw is {decision.u!r}, seed, position and branch give {owed!r}"
    above = [c.id for c in _shown(step) if c.id >= size or c.rank > size]
    if above:
        yield "the vocabulary", f"id {above[0]} or its rank lies beyond the {size} tokens"
    left = decision.stages[0].survivors if decision.stages else decision.survivors
    if left > size:
        yield "the vocabulary", f"{left} survivors of {size} tokens"
    best = min(start["top"], size)
    ranks = [c.rank for c in decision.candidates[:best]]
    if len(ranks) < best or ranks != [*range(1, len(ranks) + 1)]:
        yield "the candidates", f"the {best} best were asked for, got the ranks {ranks}"
    yield from (("the end of the text", what) for what in _finish(start, step))


def _shown(step: Step) -> tuple[Candidate, ...]:
    return (*step.decision.candidates, step.decision.chosen)


def _finish(start: Mapping[str, Any], step: Step) -> Iterator[str]:
    ends, limit = step.decision.chosen.id in start["eos_ids"], start["max_tokens"]
    full = limit is not None and step.index + 1 >= limit
    if ends != (step.finish == "eos"):
        among = "is" if ends else "is not"
        yield f"id {step.decision.chosen.id} {among} one of those that end a text, finish is {step.finish}"
    if step.finish in (None, "length") and full != (step.finish == "length"):
        yield f"finish is {step.finish} at token {step.index + 1}, the limit is {limit}"


def follows(start: Mapping[str, Any] | None, before: Step | None, step: Step) -> Iterator[str]:
    """What a step owes to the one before it, and the first to the prompt."""
    if before is None:
        yield from _first(start, step)
        return
    chosen = before.decision.chosen
    owed = {
        "index": before.index + 1,
        "position": before.position + 1,
        "id": chosen.id,
        "text": chosen.text,
        "bytes": chosen.bytes,
        "offset": before.offset + len(before.new_text.encode()),
    }
    for name, value in owed.items():
        if getattr(step, name) != value:
            yield f"{name} is {getattr(step, name)!r}, {value!r} follows from the step before"
    a, b = before.embedding.vector, step.embedding.vector
    if a.shape == b.shape and (
        step.embedding.cosine is None or apart(step.embedding.cosine, cosine(a, b), 10.0)
    ):
        yield f"the cosine is {step.embedding.cosine}, the two vectors give {cosine(a, b):.9g}"
    if before.finish:
        yield f"a step follows one that ended the text ({before.finish})"


def _first(start: Mapping[str, Any] | None, step: Step) -> Iterator[str]:
    if not start or not start["prompt_ids"]:
        return
    ids = start["prompt_ids"]
    if ids[-1] != step.id:
        yield f"the prompt ends with id {ids[-1]}, the first step read {step.id}"
    if step.position != len(ids) - 1:
        yield f"position is {step.position}, a prompt of {len(ids)} ids ends at {len(ids) - 1}"
    if step.offset and not step.index:
        yield f"offset is {step.offset} before anything was generated"
    if (step.embedding.cosine is None) != (len(ids) == 1):
        yield f"the cosine is {step.embedding.cosine} after a prompt of {len(ids)} ids"
