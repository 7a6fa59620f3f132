"""Goes on from a saved trace: a model reads its ids again, up to the end of the run or to any step of it."""

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
    """Return a cursor at a step of a recorded run. It throws the same dice, so it takes the same tokens.

    The model reads all ids in one part, so its numbers agree with the recorded ones to 1e-5. It may be a
    model of any framework.

    Args:
        trace: The recorded run.
        model: The model that reads on.
        codec: Its tokenizer.
        at: Index of the step before which the cursor is; None for after the last one.
        stages: Stages to go on with; None for those of the step.

    Raises:
        MinilmError: The model has another vocabulary, there is no such step, or the trace has no first line.
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
    """Return the stages of a step as text; past the end those of the last step."""
    if not trace.steps:
        return trace.start["stages"]
    step = trace.steps[min(at, len(trace.steps) - 1)]
    return " ".join(effect.stage for effect in step.decision.stages)


def resume_in(session: Session, trace: Trace) -> Session:
    """Add a recorded run to a session as its newest branch, which goes on with the same tokens.

    The branch takes the recorded steps with the model and the token limit of the session. Stages and dice
    change where they changed in the recording. A token that this model would not draw is forced.

    Args:
        session: The session.
        trace: The recorded run.

    Raises:
        MinilmError: The model of the session cannot go on from the trace (see reopen).
    """
    now = session.here.cursor
    cursor = reopen(trace, now.model, now.codec, 0).with_settings(max_tokens=now.settings.max_tokens)
    turns = (Turn(0, cursor.settings, cursor.branch),)
    branch = Branch(len(session.branches), cursor, turns, window=session.here.window)
    for step in trace.steps:
        branch = _take_recorded(branch, step)
    return session.with_branch(branch)


def _take_recorded(branch: Branch, step: Step) -> Branch:
    stages = " ".join(effect.stage for effect in step.decision.stages)
    if stages != spell(branch.cursor.settings.stages):
        branch = branch.with_settings(stages=stages)
    if step.branch != branch.cursor.branch:
        branch = branch.with_dice(step.branch)
    chosen = step.decision.chosen.id
    drawn = not step.decision.forced and branch.cursor.peek().decision.chosen.id == chosen
    return branch.take(None if drawn else chosen)
