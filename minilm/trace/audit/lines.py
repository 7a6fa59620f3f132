"""Check the lines of a trace against each other: a step against the first line and against the step before.

Checks within one step are in step.py. The lines are read in check.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minilm.dice import draw
from minilm.numerics import cosine
from minilm.records import Step
from minilm.trace.audit.distributions import differs

__all__ = ["Names", "check_against_start", "check_order", "check_vocabulary"]


class Names:
    """The text and the bytes that every id has had so far; a vocabulary line has all at once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str | None, bytes]] = {}

    def learn(self, vocabulary: Mapping[str, Any]) -> None:
        """Take the bytes of every token, and the names of the tokens that have none."""
        for token_id, raw in enumerate(vocabulary["bytes"]):
            self._known[token_id] = (vocabulary["names"].get(str(token_id)), bytes.fromhex(raw))

    def check(self, step: Step) -> Iterator[str]:
        """Yield every token of the step that has another text or other bytes than it had before."""
        for token in (step, *step.decision.candidates, step.decision.chosen):
            text, raw = self._known.get(token.id, (None, token.bytes))
            if raw != token.bytes or text not in (None, token.text):
                yield f"id {token.id} is {token.text!r} {token.bytes.hex()} here, {text!r} {raw.hex()} before"
            self._known[token.id] = (token.text if text is None else text, raw)


def check_vocabulary(start: Mapping[str, Any] | None, vocabulary: Mapping[str, Any]) -> Iterator[str]:
    """Yield a complaint where the vocabulary line does not list as many tokens as the model scores."""
    size = len(vocabulary["bytes"])
    if start and start["vocab_size"] != size:
        yield f"the vocabulary lists {size} tokens, the model scores {start['vocab_size']}"


def check_against_start(start: Mapping[str, Any], step: Step) -> Iterator[tuple[str, str]]:
    """Yield where a step is not what the first line asks for, each time the identity and what is wrong.

    The draw follows from the seed, the best candidates are those asked for, no id lies beyond the vocabulary,
    and the text ends where it must.
    """
    decision, size = step.decision, start["vocab_size"]
    if decision.u is not None:
        expected = draw(start["seed"], step.position, step.branch)
        if decision.u != expected:
            yield "dice", f"the draw is {decision.u!r}, seed, position and branch give {expected!r}"
    shown = (*decision.candidates, decision.chosen)
    beyond = [c.id for c in shown if c.id >= size or c.rank > size]
    if beyond:
        yield "the vocabulary", f"id {beyond[0]} or its rank lies beyond the {size} tokens"
    left = decision.stages[0].survivors if decision.stages else decision.survivors
    if left > size:
        yield "the vocabulary", f"{left} survivors of {size} tokens"
    best = min(start["top"], size)
    ranks = [c.rank for c in decision.candidates[:best]]
    if len(ranks) < best or ranks != [*range(1, len(ranks) + 1)]:
        yield "the candidates", f"the {best} best were asked for, got the ranks {ranks}"
    yield from (("the end of the text", what) for what in _check_finish(start, step))


def _check_finish(start: Mapping[str, Any], step: Step) -> Iterator[str]:
    ends, limit = step.decision.chosen.id in start["eos_ids"], start["max_tokens"]
    full = limit is not None and step.index + 1 >= limit
    if ends != (step.finish == "eos"):
        among = "is" if ends else "is not"
        yield f"id {step.decision.chosen.id} {among} one of those that end a text, finish is {step.finish}"
    if step.finish in (None, "length") and full != (step.finish == "length"):
        yield f"finish is {step.finish} at token {step.index + 1}, the limit is {limit}"


def check_order(start: Mapping[str, Any] | None, before: Step | None, step: Step) -> Iterator[str]:
    """Yield where a step does not follow from the step before it, or the first step from the prompt.

    Args:
        start: The first line, None where it is missing.
        before: The step before, None for the first.
        step: The step to check.
    """
    if before is None:
        yield from _check_first(start, step)
        return
    chosen = before.decision.chosen
    expected = {
        "index": before.index + 1,
        "position": before.position + 1,
        "id": chosen.id,
        "text": chosen.text,
        "bytes": chosen.bytes,
        "offset": before.offset + len(before.new_text.encode()),
    }
    for name, value in expected.items():
        if getattr(step, name) != value:
            yield f"{name} is {getattr(step, name)!r}, {value!r} follows from the step before"
    a, b = before.embedding.vector, step.embedding.vector
    found = step.embedding.cosine
    if a.shape == b.shape and (found is None or differs(found, cosine(a, b), 10.0)):
        yield f"the cosine is {found}, the two vectors give {cosine(a, b):.9g}"
    if before.finish:
        yield f"a step follows one that ended the text ({before.finish})"


def _check_first(start: Mapping[str, Any] | None, step: Step) -> Iterator[str]:
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
