"""Breakpoints: conditions on a step at which a generation pauses, such as `entropy > 3 and rank > 5`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from minilm import conditions
from minilm.conditions import Condition
from minilm.errors import MinilmError
from minilm.records import Step

__all__ = ["FUNCTIONS", "NAMES", "breakpoint_holds", "breakpoint_of", "run_until"]

NAMES: dict[str, tuple[str, Callable[[Step], Any]]] = {
    "index": ("number of the step, from 1", lambda s: s.index + 1),
    "position": ("position of the id that was read", lambda s: s.position),
    "id": ("id of the chosen token", lambda s: s.decision.chosen.id),
    "token": ("text of the chosen token", lambda s: s.decision.chosen.text),
    "text": ("text that the step adds", lambda s: s.new_text),
    "rank": ("rank of the chosen token for the model", lambda s: s.decision.chosen.rank),
    "logit": ("its logit", lambda s: s.decision.chosen.logit),
    "p": ("its probability in the draw", lambda s: s.decision.chosen.p_final),
    "p_model": ("its probability for the model", lambda s: s.decision.chosen.p_model),
    "p_eos": ("the model's probability of the end of the text", lambda s: _p_eos(s)),
    "survivors": ("tokens that the stages left", lambda s: s.decision.survivors),
    "margin": ("distance of the draw to the end of its interval", lambda s: s.decision.margin),
    "cut": ("least distance of a stage to its cut", lambda s: s.decision.cut),
    "fragile": ("1 where changes of 1e-5 can choose another token", lambda s: int(s.decision.fragile)),
    "u": ("the draw", lambda s: s.decision.u),
    "entropy": ("of the model's distribution, in nats", lambda s: s.decision.raw.entropy),
    "raw.entropy": ("the same", lambda s: s.decision.raw.entropy),
    "final.entropy": ("of what the draw fell on, in nats", lambda s: s.decision.final.entropy),
    "raw.k": ("adaptive k of the model's distribution", lambda s: s.decision.raw.k_used),
    "final.k": ("adaptive k of what the draw fell on", lambda s: s.decision.final.k_used),
    "norm": ("of the embedding that was read", lambda s: s.embedding.norm),
    "cosine": ("to the embedding read before", lambda s: s.embedding.cosine),
    "finish": ("why the text ends here", lambda s: s.finish),
}
"""The names that a condition can use: what each means, and how it is read from a step."""

FUNCTIONS = {"repeats": "repeats(n): the last n chosen tokens are the same"}


def breakpoint_of(text: str) -> Condition:
    """Return the condition in a text. Raises MinilmError where the text cannot be understood.

    >>> breakpoint_of("repeats(3) or margin < 1e-4").text
    'repeats(3) or margin < 1e-4'
    """
    return conditions.parse_condition(text, NAMES, FUNCTIONS)


def breakpoint_holds(condition: Condition, steps: Sequence[Step], eos_ids: Sequence[int] = ()) -> bool:
    """Return True where a condition holds at the last of these steps.

    Args:
        condition: The condition.
        steps: The steps so far, the one to judge last.
        eos_ids: All ids that end the text, where there are more than <EOS>; p_eos is their sum.
    """

    def look_up(name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "p_eos":
            return _p_eos(steps[-1], eos_ids)
        return _repeats(steps, arguments) if name in FUNCTIONS else NAMES[name][1](steps[-1])

    return condition(look_up)


def run_until(
    breakpoints: Sequence[Condition], steps: Iterable[Step], eos_ids: Sequence[int]
) -> Generator[Step, None, tuple[int, Condition] | None]:
    """Yield the steps up to the first one at which a breakpoint holds.

    Without breakpoints no step is kept in memory.

    Args:
        breakpoints: The conditions, such as `breakpoint_of("rank > 5")`.
        steps: The steps of a generation.
        eos_ids: The ids that end a text; `p_eos` is the sum of their probabilities.

    Returns:
        The number of that step, from 1, and the breakpoint; None where none was met.
    """
    if not breakpoints:
        yield from steps
        return None
    taken: list[Step] = []
    for step in steps:
        yield step
        taken.append(step)
        for condition in breakpoints:
            if breakpoint_holds(condition, taken, eos_ids):
                return step.index + 1, condition
    return None


def _repeats(steps: Sequence[Step], arguments: tuple[Any, ...]) -> bool:
    if len(arguments) != 1 or not isinstance(arguments[0], int) or arguments[0] < 2:
        raise MinilmError(f"repeats takes one whole number from 2, got {list(arguments)}")
    last = [step.decision.chosen.id for step in steps[-arguments[0] :]]
    return len(last) == arguments[0] and len(set(last)) == 1


def _p_eos(step: Step, eos_ids: Sequence[int] = ()) -> float | None:
    """Return the probability of an end of the text, None where no end is among the candidates."""
    # A debugger watches all ends, so with it they are always among the candidates.
    ends = [c.p_model for c in step.decision.candidates if c.id in eos_ids or c.text == "<EOS>"]
    return sum(ends) if ends else None
