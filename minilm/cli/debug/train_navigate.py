"""The commands of `minilm debug train` that move or branch: desk and text in, desk out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

from minilm.cli.debug.loop import Action, count_of, say, whole_number
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.visible import quoted
from minilm.storage.model_folder import write_model
from minilm.training.timeline.session import TrainSession
from minilm.training.timeline.timeline import Timeline
from tokenizer import Tokenizer

__all__ = ["MOVES", "TrainDesk", "prompt_line"]


@dataclass(frozen=True)
class TrainDesk:
    """What the commands work on: the session, and the tokenizer that its texts went through."""

    session: TrainSession
    codec: Tokenizer

    @property
    def here(self) -> Timeline:
        """The place that is looked at."""
        return self.session.here

    def at(self, place: Timeline) -> TrainDesk:
        """The desk with the current line at another place."""
        return replace(self, session=self.session.moved(place))


def prompt_line(desk: TrainDesk) -> str:
    """Where one is: the branch, the updates made and the last step."""
    return f"({desk.session.current}:{desk.here.index}/{desk.here.last}) "


def _next(desk: TrainDesk, argument: str) -> TrainDesk:
    for _ in range(count_of(argument)):
        desk = desk.at(desk.here.next())
        say(text.render(desk.here.step))
    return desk


def _until(desk: TrainDesk, argument: str) -> TrainDesk:
    """Along the places of a condition; interrupted, the desk stands at the last one that was reached."""
    place = desk.here
    try:
        for reached in _shown(desk.here.course(argument or None)):
            place = reached
    except KeyboardInterrupt:
        say("interrupted")
    if place.step is not None:
        say(text.render(place.step))
    if place.stopped:
        say(f"stopped: {place.stopped}")
    return desk.at(place)


def _shown(places: Iterator[Timeline]) -> Iterator[Timeline]:
    """Ten lines on the way of a long course."""
    for number, place in enumerate(places, 1):
        if number % max(1, place.last // 10) == 0 and place.step is not None and not place.stopped:
            say(text.render(place.step))
        yield place


def _back(desk: TrainDesk, argument: str) -> TrainDesk:
    return _arrived(desk.at(desk.here.back(count_of(argument))))


def _jump(desk: TrainDesk, argument: str) -> TrainDesk:
    return _arrived(desk.at(desk.here.jump(whole_number(argument))))


def _arrived(desk: TrainDesk) -> TrainDesk:
    step = desk.here.step
    say(f"at step {desk.here.index}, before any update" if step is None else text.render(step))
    return desk


def _rate(desk: TrainDesk, argument: str) -> TrainDesk:
    if not argument:
        say(f"the rate of step {desk.here.index + 1} is {desk.here.rate:g}")
        return desk
    try:
        rate = None if argument == "schedule" else float(argument)
    except ValueError:
        rate = float("nan")
    if rate is not None and not isfinite(rate):
        raise MinilmError(f"rate takes a number, or `schedule` for the planned one, got {argument!r}")
    desk = desk.at(desk.here.with_rate(rate))
    say(
        f"from step {desk.here.index + 1} on the rate is {'the planned one' if rate is None else f'{rate:g}'}"
    )
    return desk


def _batch(desk: TrainDesk, argument: str) -> TrainDesk:
    if not argument:
        say(f"step {desk.here.index + 1} will meet:")
        for row in desk.here.batch.inputs:
            say(f"  {quoted(desk.codec.decode(row.tolist())[:80])}")
        return desk
    number = whole_number(argument)
    if number < 1:
        raise MinilmError(f"Steps are numbered from 1, got {number}")
    desk = desk.at(desk.here.with_batch(number - 1))
    say(f"step {desk.here.index + 1} will meet the batch of step {number}")
    return desk


def _branch(desk: TrainDesk, argument: str) -> TrainDesk:
    desk = replace(desk, session=desk.session.branched(argument or None))
    say(f"on branch {desk.session.current}, from step {desk.here.index}")
    return desk


def _switch(desk: TrainDesk, argument: str) -> TrainDesk:
    desk = replace(desk, session=desk.session.switched(argument))
    return _arrived(desk)


def _branches(desk: TrainDesk, _: str) -> TrainDesk:
    for name, place in desk.session.lines.items():
        mark = "*" if name == desk.session.current else " "
        changes = "; ".join(str(change) for change in place.plan.changes) or "as planned"
        say(f"{mark} {name} at step {place.index}: {changes}")
    return desk


def _save(desk: TrainDesk, argument: str) -> TrainDesk:
    if not argument:
        raise MinilmError("save takes a new folder for the model")
    model = desk.here.model
    write_model(argument, model.config, model.weights(), desk.codec.model_bytes)
    say(f"model of step {desk.here.index}: {argument}")
    return desk


MOVES = (
    Action(("next", "n"), "[N]", "make one update, or N", _next),
    Action(("continue", "until", "c"), "[CONDITION]", "go on until it holds: loss rises 3 times", _until),
    Action(("back", "b"), "[N]", "one update back, or N", _back),
    Action(("jump", "j"), "N", "to the place after N updates", _jump),
    Action(("rate",), "[X|schedule]", "the learning rate from the next step on", _rate),
    Action(("batch",), "[N]", "the next batch; let the next step meet that of step N", _batch),
    Action(("branch",), "[NAME]", "a new branch from here; the old one stays", _branch),
    Action(("branches",), "", "all branches and what was changed on them", _branches),
    Action(("switch",), "NAME", "to another branch", _switch),
    Action(("save",), "DIR", "write the model of this place", _save),
)
