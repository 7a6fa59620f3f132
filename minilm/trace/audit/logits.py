"""The audit of a trace against its stored logits: every step decided again, and what it says otherwise.

It settles what the lines alone cannot: the whole distribution, every cut, the reason. It needs no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.records import Decision, Step
from minilm.trace.audit.check import Violation
from minilm.trace.diff import TraceDifference, differ, first_difference
from minilm.trace.replay import open_recording
from minilm.trace.vocabulary import NoTokenizer

__all__ = ["ReplayAudit", "check_replay"]

_TOLERANCE = 1e-5  # of what another processor computes from the same logits

_FIRST = 3  # the line of the first step: what was asked and the vocabulary stand before it


@dataclass(frozen=True, slots=True)
class ReplayAudit:
    """What the logits give otherwise; same: how many steps they give as the trace has them.

    left_out: why some steps could not be decided again, None where all were.
    """

    violations: tuple[Violation, ...]
    same: int
    left_out: str | None


def check_replay(path: str | Path) -> ReplayAudit:
    """The audit of a trace that has its logits beside it.

    Raises MinilmError where either cannot be read, and where the logits are another run's.
    """
    recording = open_recording(path)
    found: list[Violation] = []
    same, left_out = 0, None
    for index, step in enumerate(recording.trace.steps):
        try:
            again = recording.decide(index, recording.stages(index))
        except NoTokenizer as error:
            left_out = left_out or str(error)
            continue
        except MinilmError as error:
            found.append(Violation(_FIRST + index, "replay", str(error)))
            continue
        what = next(_otherwise(step, again), None)
        if what is None:
            same += 1
        else:
            found.append(Violation(_FIRST + index, "replay", what.sentence("the line", "its logits")))
    return ReplayAudit(tuple(found), same, left_out)


def _otherwise(step: Step, again: Decision) -> Iterator[TraceDifference]:
    """What a step says otherwise than its decision taken again: first its numbers, then the remarks."""
    found = first_difference(step, replace(step, decision=again), _TOLERANCE)
    if found is not None:
        yield found
    for place, what, left, right in _remarks(step, again):
        if differ(left, right, _TOLERANCE):
            yield TraceDifference(step.index, place, what, left, right)


def _remarks(step: Step, again: Decision) -> Iterator[tuple[str, str, Any, Any]]:
    """Place, fact, and its two values."""
    said = step.decision
    ends = len(again.reason) if step.finish == "constraint" else None  # why it ended follows then
    yield "the choice", "reason", said.reason[:ends], again.reason
    for x, y in zip(said.candidates, again.candidates, strict=True):
        yield "the candidates", f"why {x.id} was removed", x.removed_by, y.removed_by
    cuts = [[effect.cut for effect in decision.stages] for decision in (said, again)]
    known = any(cut is not None for cut in cuts[0]) or cuts[0] == cuts[1]  # older traces have none
    for x, y in zip(said.stages, again.stages, strict=True):
        yield x.stage, "note", x.note, y.note
        if known:
            yield x.stage, "cut", x.cut, y.cut
    if known:
        yield "the choice", "fragile", said.fragile, again.fragile
