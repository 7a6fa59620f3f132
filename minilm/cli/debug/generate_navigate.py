"""The commands of `minilm debug generate` that go somewhere, and the state that all its commands work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from minilm.cli.debug.loop import Action, parse_count, parse_number, say
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, wrap_line
from minilm.faces.visible import quoted
from minilm.generation import Session
from minilm.generation.branch import Merged
from minilm.records import Step
from minilm.sampling import spell
from minilm.sampling.parsing import EXAMPLES
from minilm.token_text import id_of, unquoted

__all__ = ["NAVIGATE", "GenerateState", "generation_prompt", "last_step", "parse_text"]

# How many characters of the text the prompt line shows.
_TAIL = 24


@dataclass(frozen=True)
class GenerateState:
    """The state of the debugger: each command takes one and gives another.

    Attributes:
        session: The branches of the generation, and the place in it.
        show: How much of a step is shown: brief or full.
    """

    session: Session
    show: str = "brief"


def generation_prompt(state: GenerateState) -> str:
    """Return the line before a command: branch, number of tokens, end of the text."""
    here = state.session.here
    whole = here.cursor.codec.decode(here.cursor.ids.tolist())
    end = f" {here.finish}" if here.finish else ""
    return f"({here.number}:{here.index}{end} {'…' if len(whole) > _TAIL else ''}{quoted(whole[-_TAIL:])}) "


def last_step(state: GenerateState) -> Step:
    """Return the step that was taken last. Raises MinilmError before the first."""
    if state.session.last is None:
        raise MinilmError("No step has been taken yet")
    return state.session.last


def parse_text(argument: str) -> str:
    """Return a typed text; in quotes, Python's escapes work and spaces at its ends are kept."""
    if not argument:
        raise MinilmError('A text is expected here, such as " the fox"')
    return unquoted(argument)


def _show_last(state: GenerateState) -> None:
    say(text.render(last_step(state), state.show))


def _next(state: GenerateState, argument: str) -> GenerateState:
    state, why = _run(state, parse_count(argument), _show_last)
    if why:
        say(why)
    return state


def _continue(state: GenerateState, argument: str) -> GenerateState:
    steps = parse_count(argument) if argument else None
    state, why = _run(state, steps, lambda now: say(last_step(now).new_text, end=""))
    say("")
    _show_last(state)
    if why:
        say(why)
    return state


def _run(
    state: GenerateState, steps: int | None, show: Callable[[GenerateState], None]
) -> tuple[GenerateState, str]:
    """Take steps until a breakpoint, the end or an error; return the state there, and the reason."""
    first = state
    try:
        for session in state.session.run(steps):
            state = replace(state, session=session)
            show(state)
    except KeyboardInterrupt:
        return state, "interrupted"
    except MinilmError as error:
        # An error in the first step changes nothing, so it is an ordinary refusal.
        if state is first:
            raise
        return state, f"refused: {error}"
    pause = state.session.pause
    return state, "" if pause is None else f"breakpoint: {pause.text}"


def _back(state: GenerateState, argument: str) -> GenerateState:
    return replace(state, session=state.session.back(parse_count(argument)))


def _force(state: GenerateState, argument: str) -> GenerateState:
    token_id = id_of(argument, state.session.here.cursor.codec, numbers=True)
    if token_id is not None:
        state = replace(state, session=state.session.force(token_id))
    else:
        session, merged = state.session.force_text(parse_text(argument))
        state = replace(state, session=session)
        _say_merged(session, merged)
    _show_last(state)
    return state


def _say_merged(session: Session, merged: Merged) -> None:
    def listed(ids: tuple[int, ...]) -> str:
        return " · ".join(f"{quoted(session.here.cursor.texts(i)[0])} {i}" for i in ids)

    say(f"put in: {listed(merged.added)}")
    if merged.removed:
        where = f" ({merged.of_prompt} of them in the prompt)" if merged.of_prompt else ""
        say(
            "the tokenizer splits the text before it differently now; "
            f"replaced{where}: {listed(merged.removed)}"
        )


def _branch(state: GenerateState, argument: str) -> GenerateState:
    if argument not in ("", "fresh", "same"):
        raise MinilmError(f"A branch has fresh dice or the same dice, got {argument!r}")
    return replace(state, session=state.session.new_branch(fresh=argument != "same"))


def _switch(state: GenerateState, argument: str) -> GenerateState:
    if argument:
        return replace(state, session=state.session.switch(parse_number(argument)))
    for branch in state.session.branches:
        mark = "*" if branch.number == state.session.current else " "
        left = f" from branch {branch.parent[0]} at token {branch.parent[1]}" if branch.parent else ""
        say(f"{mark} {branch.number}{left}: {branch.index} tokens, {quoted(branch.cursor.text)}")
    return state


def _prompt(state: GenerateState, argument: str) -> GenerateState:
    # An empty text in quotes is the token that begins every text, where the tokenizer has one.
    first = state.session.here.cursor.codec.encode("", special=True)
    return replace(state, session=state.session.with_prompt(parse_text(argument) or first))


def _stages(state: GenerateState, argument: str) -> GenerateState:
    if argument:
        state = replace(state, session=state.session.with_stages(argument))
    say(f"stages: {spell(state.session.here.cursor.settings.stages) or 'none'}")
    return state


_SPELLINGS = "\n".join(wrap_line(f"  in any order: {' '.join(EXAMPLES)}", WIDTH, "    "))

NAVIGATE = (
    Action(("next", "n"), "[N]", "take one step, or N", _next),
    Action(("continue", "c"), "[N]", "go on to a breakpoint or the end, N steps at most", _continue),
    Action(("back", "b"), "[N]", "go back one step, or N; going on gives the same ones", _back),
    Action(("force", "f"), "ID | TEXT", 'take this token, or put in a text (" in quotes")', _force),
    Action(("branch",), "[same]", "start a new branch here, with fresh dice or the same", _branch),
    Action(("switch",), "[N]", "go to branch N, or list the branches", _switch),
    Action(("prompt",), "TEXT", "begin this branch again after another prompt", _prompt),
    Action(("stages",), "[TEXT]", "show the stages, or change them from here on", _stages, _SPELLINGS),
)
