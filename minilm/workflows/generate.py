"""Start a generation as a user asks for it: a prompt or a chat, ids to watch, breakpoints."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from minilm.builtin import PROMPT
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.generation import Cursor
from minilm.generation.breakpoints import holds
from minilm.protocols import TextCodec
from minilm.records import Step
from minilm.sampling import Stage
from minilm.workflows.open import Opened

__all__ = ["has_chat_template", "run_until", "start_run"]


def start_run(
    opened: Opened,
    prompt: str = PROMPT,
    stages: Sequence[Stage] | str = (),
    seed: int = 0,
    *,
    chat: bool = False,
    max_tokens: int | None = 100,
    stop: Sequence[str] = (),
    top: int = 10,
    watch: Sequence[int] = (),
    breakpoints: Sequence[Condition] = (),
) -> Cursor:
    """Read a prompt and return the cursor after it.

    Args:
        opened: The model and its tokenizer.
        prompt: The text to go on from; "" begins a text where the tokenizer has a token for that.
        stages: The sampling stages, as values or as text; none by default.
        seed: The seed of the dice.
        chat: Put the prompt through the model's chat template.
        max_tokens: The most new tokens; None for no limit.
        stop: The texts that end the generation.
        top: How many candidates each step records.
        watch: The ids that each step records, even where they are no candidates.
        breakpoints: The conditions that `run_until` will be given. With one or more, the tokens that end a
            text are watched, so that a condition may speak of `p_eos`.

    Raises:
        MinilmError: For a chat without a template, and for what `Opened.start` refuses.
    """
    ending = opened.eos_ids if breakpoints else ()
    return opened.start(
        _chat_ids(opened.codec, prompt) if chat else prompt or opened.codec.encode("", special=True),
        stages,
        seed,
        max_tokens=max_tokens,
        stop=stop,
        top=top,
        watch=list(dict.fromkeys((*watch, *ending))),
    )


def run_until(
    breakpoints: Sequence[Condition], steps: Iterable[Step], eos_ids: Sequence[int]
) -> Generator[Step, None, tuple[int, Condition] | None]:
    """Yield the steps up to the first one at which a breakpoint holds.

    Without breakpoints no step is kept in memory.

    Args:
        breakpoints: The conditions, such as `minilm.generation.breakpoints.breakpoint_of("rank > 5")`.
        steps: The steps of a generation.
        eos_ids: The ids that end a text; `p_eos` is the sum of their probabilities.

    Returns:
        The number of that step, from 1, and the breakpoint; None where none held.
    """
    if not breakpoints:
        yield from steps
        return None
    taken: list[Step] = []
    for step in steps:
        yield step
        taken.append(step)
        for condition in breakpoints:
            if holds(condition, taken, eos_ids):
                return step.index + 1, condition
    return None


def has_chat_template(codec: TextCodec) -> bool:
    """Return True for the tokenizer of an instruct model."""
    try:
        return codec.chat([{"role": "user", "content": "a"}]) is not None
    except ValueError:
        # There is a template; it only refuses so short a question.
        return True


def _chat_ids(codec: TextCodec, prompt: str) -> list[int]:
    ids = codec.chat([{"role": "user", "content": prompt}])
    if ids is None:
        raise MinilmError("--chat needs a chat template, and this model's tokenizer has none; leave it out")
    return ids
