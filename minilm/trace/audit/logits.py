"""The audit of a trace against its stored logits: decide every step again, and name what the line says
differently.

This settles what the lines alone cannot: the whole distribution, every cut, the reason. It needs no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minilm.errors import MinilmError
from minilm.records import Decision, Step
from minilm.trace.audit.check import Violation, check_trace
from minilm.trace.diff import TraceDifference, facts_differ, first_difference
from minilm.trace.logits import logits_path
from minilm.trace.replay import open_recording
from minilm.trace.vocabulary import NoTokenizer

__all__ = ["ReplayAudit", "audit_trace", "check_replay"]

# Another processor may compute this much else from the same logits.
_TOLERANCE = 1e-5

# The line of the first step: the start and the vocabulary come before it.
_FIRST_LINE = 3


@dataclass(frozen=True, slots=True)
class ReplayAudit:
    """The result of checking a trace against its logits.

    Attributes:
        violations: Every step that the logits decide differently.
        same: How many steps they decide as the trace has them.
        left_out: Why some steps could not be decided again, None where all could.
    """

    violations: tuple[Violation, ...]
    same: int
    left_out: str | None


def audit_trace(path: str | Path) -> tuple[list[Violation], ReplayAudit | None]:
    """Check everything that can be checked of a trace: its lines, then every step against its logits.

    Args:
        path: The trace.

    Returns:
        Every violation, and what the logits say. The second is None where the trace has no logits beside it,
        or where its lines have violations already.

    Raises:
        MinilmError: A file cannot be read, or the logits belong to another run.
    """
    found = list(check_trace(path))
    if found or not logits_path(path).exists():
        return found, None
    replayed = check_replay(path)
    return list(replayed.violations), replayed


def check_replay(path: str | Path) -> ReplayAudit:
    """Decide every step of a trace again from its logits, and compare.

    Args:
        path: The trace; the file of its logits is beside it.

    Raises:
        MinilmError: One of the two files cannot be read, or the logits belong to another run.
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
            found.append(Violation(_FIRST_LINE + index, "replay", str(error)))
            continue
        difference = next(_compare(step, again), None)
        if difference is None:
            same += 1
        else:
            what = difference.sentence("the line", "its logits")
            found.append(Violation(_FIRST_LINE + index, "replay", what))
    return ReplayAudit(tuple(found), same, left_out)


def _compare(step: Step, again: Decision) -> Iterator[TraceDifference]:
    """Yield where a step differs from its decision made again: first in its numbers, then in its remarks."""
    found = first_difference(step, replace(step, decision=again), _TOLERANCE)
    if found is not None:
        yield found
    for place, what, left, right in _remarks(step, again):
        if facts_differ(left, right, _TOLERANCE):
            yield TraceDifference(step.index, place, what, left, right)


def _remarks(step: Step, again: Decision) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield what a diff leaves out, each as place, fact, and its two values."""
    recorded = step.decision
    # Where a constraint ended the text, the recorded reason goes on to say why; a decision does not know
    # that.
    length = len(again.reason) if step.finish == "constraint" else None
    yield "the choice", "reason", recorded.reason[:length], again.reason
    for x, y in zip(recorded.candidates, again.candidates, strict=True):
        yield "the candidates", f"why {x.id} was removed", x.removed_by, y.removed_by
    cuts = [[effect.cut for effect in decision.stages] for decision in (recorded, again)]
    # Older traces have no cuts, and then no mark of what is fragile either.
    has_cuts = any(cut is not None for cut in cuts[0]) or cuts[0] == cuts[1]
    for x, y in zip(recorded.stages, again.stages, strict=True):
        yield x.stage, "note", x.note, y.note
        if has_cuts:
            yield x.stage, "cut", x.cut, y.cut
    if has_cuts:
        yield "the choice", "fragile", recorded.fragile, again.fragile
