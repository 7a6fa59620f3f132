"""A recorded run taken again by a model, step by step, as a branch of a session: it can go back and go on."""

from __future__ import annotations

from minilm.generation.branch import Branch, Turn
from minilm.generation.cursor import Cursor
from minilm.generation.reopen import reopen
from minilm.generation.trace_reading import Trace
from minilm.records import Step
from minilm.sampling import spell

__all__ = ["retaken"]


def retaken(trace: Trace, now: Cursor, number: int, window: int | None = None) -> Branch:
    """The branch that took the steps of a trace, with the model and the limit of `now`.

    Stages and dice change where they did; a token that this model would not draw is forced. Raises
    MinilmError for a trace that cannot be reopened with this model.
    """
    cursor = reopen(trace, now.model, now.codec, 0).with_settings(max_tokens=now.settings.max_tokens)
    branch = Branch(number, cursor, (Turn(0, cursor.settings, cursor.branch),), window=window)
    for step in trace.steps:
        branch = _again(branch, step)
    return branch


def _again(branch: Branch, step: Step) -> Branch:
    stages = " ".join(effect.stage for effect in step.decision.stages)
    if stages != spell(branch.cursor.settings.stages):
        branch = branch.changed(stages=stages)
    if step.branch != branch.cursor.branch:
        branch = branch.with_dice(step.branch)
    chosen = step.decision.chosen.id
    drawn = not step.decision.forced and branch.cursor.peek().decision.chosen.id == chosen
    return branch.taken(None if drawn else chosen)
