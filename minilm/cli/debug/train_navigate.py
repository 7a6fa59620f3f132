"""The commands of `minilm debug train` that go somewhere, and the state that all its commands work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

from minilm.cli.debug.loop import Action, parse_count, parse_number, say
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.visible import quoted
from minilm.storage.model_folder import write_model
from minilm.training.timeline.timeline import Timeline, TrainSession

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["NAVIGATE", "TrainState", "training_prompt"]


@dataclass(frozen=True)
class TrainState:
    """The state of the debugger: each command takes one and gives another.

    Attributes:
        session: The branches of the training, and the place on each.
        codec: The tokenizer of the training's text.
    """

    session: TrainSession
    codec: Tokenizer

    @property
    def here(self) -> Timeline:
        """The current place."""
        return self.session.here

    def at(self, place: Timeline) -> TrainState:
        """Return the state with the current branch at another place."""
        return replace(self, session=self.session.move_to(place))


def training_prompt(state: TrainState) -> str:
    """Return the line before a command: branch, updates made, last step."""
    return f"({state.session.current}:{state.here.index}/{state.here.last}) "


def _next(state: TrainState, argument: str) -> TrainState:
    for _ in range(parse_count(argument)):
        state = state.at(state.here.next())
        say(text.render(state.here.step))
    return state


def _until(state: TrainState, argument: str) -> TrainState:
    """Go on until a condition holds; an interrupt stops at the last place that was reached."""
    place = state.here
    try:
        for reached in _with_progress(state.here.course(argument or None)):
            place = reached
    except KeyboardInterrupt:
        say("interrupted")
    if place.step is not None:
        say(text.render(place.step))
    if place.stopped:
        say(f"stopped: {place.stopped}")
    return state.at(place)


def _with_progress(places: Iterator[Timeline]) -> Iterator[Timeline]:
    """Yield the places, and print about ten of their steps on the way."""
    for number, place in enumerate(places, 1):
        if number % max(1, place.last // 10) == 0 and place.step is not None and not place.stopped:
            say(text.render(place.step))
        yield place


def _back(state: TrainState, argument: str) -> TrainState:
    return _arrive(state.at(state.here.back(parse_count(argument))))


def _jump(state: TrainState, argument: str) -> TrainState:
    return _arrive(state.at(state.here.jump(parse_number(argument))))


def _arrive(state: TrainState) -> TrainState:
    step = state.here.step
    say(f"at step {state.here.index}, before any update" if step is None else text.render(step))
    return state


def _rate(state: TrainState, argument: str) -> TrainState | None:
    if not argument:
        say(f"the rate of step {state.here.index + 1} is {state.here.rate:g}")
        return None
    try:
        rate = None if argument == "schedule" else float(argument)
    except ValueError:
        rate = float("nan")
    if rate is not None and not isfinite(rate):
        raise MinilmError(f"rate takes a number, or `schedule` for the planned one, got {argument!r}")
    state = state.at(state.here.with_rate(rate))
    shown = "the planned one" if rate is None else f"{rate:g}"
    say(f"from step {state.here.index + 1} on the rate is {shown}")
    return state


def _batch(state: TrainState, argument: str) -> TrainState | None:
    if not argument:
        say(f"step {state.here.index + 1} will meet:")
        for row in state.here.batch.inputs:
            say(f"  {quoted(state.codec.decode(row.tolist())[:80])}")
        return None
    number = parse_number(argument)
    if number < 1:
        raise MinilmError(f"Steps are numbered from 1, got {number}")
    state = state.at(state.here.with_batch(number - 1))
    say(f"step {state.here.index + 1} will meet the batch of step {number}")
    return state


def _branch(state: TrainState, argument: str) -> TrainState:
    state = replace(state, session=state.session.new_branch(argument or None))
    say(f"on branch {state.session.current}, from step {state.here.index}")
    return state


def _switch(state: TrainState, argument: str) -> TrainState:
    state = replace(state, session=state.session.switch(argument))
    return _arrive(state)


def _branches(state: TrainState, _: str) -> None:
    for name, place in state.session.branches.items():
        mark = "*" if name == state.session.current else " "
        changes = "; ".join(str(change) for change in place.plan.changes) or "as planned"
        say(f"{mark} {name} at step {place.index}: {changes}")


def _save(state: TrainState, argument: str) -> None:
    if not argument:
        raise MinilmError("save takes a new folder for the model")
    model = state.here.model
    write_model(argument, model.config, model.weights(), state.codec.model_bytes)
    say(f"model of step {state.here.index}: {argument}")


NAVIGATE = (
    Action(("next", "n"), "[N]", "make one update, or N", _next),
    Action(("continue", "until", "c"), "[CONDITION]", "go on until it holds: loss rises 3 times", _until),
    Action(("back", "b"), "[N]", "go back one update, or N", _back),
    Action(("jump", "j"), "N", "go to the place after N updates", _jump),
    Action(("rate",), "[X|schedule]", "show or set the learning rate from the next step on", _rate),
    Action(("batch",), "[N]", "show the next batch, or take that of step N next", _batch),
    Action(("branch",), "[NAME]", "start a new branch here; the old one stays", _branch),
    Action(("branches",), "", "list the branches and what was changed on them", _branches),
    Action(("switch",), "NAME", "go to another branch", _switch),
    Action(("save",), "DIR", "write the model of this place", _save),
)
