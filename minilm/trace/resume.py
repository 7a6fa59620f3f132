"""A session reopened from a saved trace: its ids read again by a model, at the place where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minilm.errors import MinilmError
from minilm.generation.branch import Branch, Turn
from minilm.generation.cursor import Cursor, start
from minilm.generation.session import Session
from minilm.protocols import LanguageModel, TextCodec
from minilm.records import Step
from minilm.sampling import Stage, spell
from minilm.trace.reader import Trace

__all__ = ["reopen", "resume_in"]


def reopen(
    trace: Trace,
    model: LanguageModel,
    codec: TextCodec,
    at: int | None = None,
    *,
    stages: Sequence[Stage] | str | None = None,
) -> Cursor:
    """The cursor before the step of index `at`, by default after the last recorded one.

    It goes on with the same dice, so with the same tokens; the ids are read in one part, so numbers agree
    to 1e-5. The stages are those of the step, unless given. Any framework may read on; a model of another
    vocabulary, an unknown `at` and a trace without its first line raise MinilmError.
    """
    asked, steps = trace.start, trace.steps
    at = len(steps) if at is None else at
    if not asked:
        raise MinilmError("The trace has no first line that says what was asked, so it cannot be reopened")
    if not 0 <= at <= len(steps):
        raise MinilmError(f"The trace has {len(steps)} steps, so it reopens at 0 to {len(steps)}, got {at}")
    if model.vocab_size != asked["vocab_size"]:
        raise MinilmError(
            f"The trace was written with a vocabulary of {asked['vocab_size']}, the model has "
            f"{model.vocab_size}; open the model that wrote it"
        )
    before = steps[:at]
    cursor = start(
        model,
        codec,
        [*asked["prompt_ids"], *(step.decision.chosen.id for step in before)],
        _stages(trace, at) if stages is None else stages,
        asked["seed"],
        max_tokens=asked["max_tokens"],
        stop=asked["stop"],
        top=asked["top"],
        watch=asked["watch"],
        eos_ids=asked["eos_ids"],
        branch=steps[min(at, len(steps) - 1)].branch if steps else asked["branch"],
    )
    text = "".join(step.new_text for step in before)
    first = before[0].index if before else 0
    prompt_length = len(asked["prompt_ids"]) - first
    return replace(cursor, prompt_length=prompt_length, text=text, offset=len(text.encode()))


def _stages(trace: Trace, at: int) -> str:
    """The stages of the step at that place, as text; past the end those of the last one."""
    if not trace.steps:
        return trace.start["stages"]
    step = trace.steps[min(at, len(trace.steps) - 1)]
    return " ".join(effect.stage for effect in step.decision.stages)


def resume_in(session: Session, trace: Trace) -> Session:
    """Add a recorded run to a session as its newest branch, which goes on with the same tokens.

    The branch takes the recorded steps with the model and the token limit of the session's current cursor.
    Stages and dice change where they did; a token that this model would not draw is forced. Raises
    MinilmError for a trace that cannot be reopened with this model.
    """
    now = session.here.cursor
    cursor = reopen(trace, now.model, now.codec, 0).with_settings(max_tokens=now.settings.max_tokens)
    turns = (Turn(0, cursor.settings, cursor.branch),)
    branch = Branch(len(session.branches), cursor, turns, window=session.here.window)
    for step in trace.steps:
        branch = _again(branch, step)
    return session.with_branch(branch)


def _again(branch: Branch, step: Step) -> Branch:
    stages = " ".join(effect.stage for effect in step.decision.stages)
    if stages != spell(branch.cursor.settings.stages):
        branch = branch.changed(stages=stages)
    if step.branch != branch.cursor.branch:
        branch = branch.with_dice(step.branch)
    chosen = step.decision.chosen.id
    drawn = not step.decision.forced and branch.cursor.peek().decision.chosen.id == chosen
    return branch.taken(None if drawn else chosen)
