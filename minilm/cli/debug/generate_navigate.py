"""The commands of `minilm debug generate` that move: each takes the desk and a text, and gives a desk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from minilm.cli.debug.loop import Action, count_of, say, whole_number
from minilm.cli.debug.state import Desk, last_step, show_last, text_of
from minilm.cli.stages import EXAMPLES
from minilm.errors import MinilmError
from minilm.faces.layout import WIDTH, wrap
from minilm.faces.visible import quoted
from minilm.sampling import spell
from minilm.token_text import id_of

__all__ = ["MOVES"]


def _next(desk: Desk, argument: str) -> Desk:
    desk, why = _gone(desk, count_of(argument), show_last)
    if why:
        say(why)
    return desk


def _continue(desk: Desk, argument: str) -> Desk:
    steps = count_of(argument) if argument else None
    desk, why = _gone(desk, steps, lambda now: say(last_step(now).new_text, end=""))
    say("")
    show_last(desk)
    if why:
        say(why)
    return desk


def _gone(desk: Desk, steps: int | None, show: Callable[[Desk], None]) -> tuple[Desk, str]:
    """The desk after these steps, or as far as they went, and why they went no further."""
    begun = desk
    try:
        for session in desk.session.running(steps):
            desk = replace(desk, session=session)
            show(desk)
    except KeyboardInterrupt:
        return desk, "interrupted"
    except MinilmError as error:
        if desk is begun:
            raise
        return desk, f"refused: {error}"
    pause = desk.session.pause
    return desk, "" if pause is None else f"breakpoint: {pause.text}"


def _back(desk: Desk, argument: str) -> Desk:
    return replace(desk, session=desk.session.back(count_of(argument)))


def _force(desk: Desk, argument: str) -> Desk:
    token_id = id_of(argument, desk.session.here.cursor.codec, numbers=True)
    if token_id is not None:
        desk = replace(desk, session=desk.session.force(token_id))
    else:
        session, merged = desk.session.force_text(text_of(argument))
        desk = replace(desk, session=session)
        texts = session.here.cursor.texts
        added = " · ".join(f"{quoted(texts(i)[0])} {i}" for i in merged.added)
        say(f"put in: {added}")
        if merged.removed:
            removed = " · ".join(f"{quoted(texts(i)[0])} {i}" for i in merged.removed)
            where = f" ({merged.of_prompt} of them in the prompt)" if merged.of_prompt else ""
            say(f"the tokenizer would have cut the text before it otherwise; replaced{where}: {removed}")
    show_last(desk)
    return desk


def _branch(desk: Desk, argument: str) -> Desk:
    if argument not in ("", "fresh", "same"):
        raise MinilmError(f"A branch throws fresh dice or the same, got {argument!r}")
    return replace(desk, session=desk.session.branched(fresh=argument != "same"))


def _switch(desk: Desk, argument: str) -> Desk:
    if argument:
        return replace(desk, session=desk.session.switched(whole_number(argument)))
    for branch in desk.session.branches:
        mark = "*" if branch.number == desk.session.current else " "
        left = f" from branch {branch.parent[0]} at token {branch.parent[1]}" if branch.parent else ""
        say(f"{mark} {branch.number}{left}: {branch.index} tokens, {quoted(branch.cursor.text)}")
    return desk


def _prompt(desk: Desk, argument: str) -> Desk:
    alone = desk.session.here.cursor.codec.encode("", special=True)  # what begins every text, if anything
    return replace(desk, session=desk.session.with_prompt(text_of(argument) or alone))


def _stages(desk: Desk, argument: str) -> Desk:
    if argument:
        desk = replace(desk, session=desk.session.with_stages(argument))
    say(f"stages: {spell(desk.session.here.cursor.settings.stages) or 'none'}")
    return desk


_WRITTEN = "\n".join(wrap(f"  in any order: {' '.join(EXAMPLES)}", WIDTH, "    "))

MOVES = (
    Action(("next", "n"), "[N]", "take one step, or N", _next),
    Action(("continue", "c"), "[N]", "go on to a breakpoint or the end, N steps at most", _continue),
    Action(("back", "b"), "[N]", "go back one step, or N; going on gives the same ones", _back),
    Action(("force", "f"), "#ID | TEXT", 'take this token, or put in a text (" in quotes")', _force),
    Action(("branch",), "[same]", "a new branch from here, with fresh dice or the same", _branch),
    Action(("switch",), "[N]", "look at branch N, or list the branches", _switch),
    Action(("prompt",), "TEXT", "begin this branch anew after another prompt", _prompt),
    Action(("stages",), "[TEXT]", "show the stages, or change them from here on", _stages, _WRITTEN),
)
