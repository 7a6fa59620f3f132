"""The commands of `minilm debug train` that look: the desk stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilm.cli.debug.loop import Action, count_of, say, whole_number
from minilm.cli.debug.train_navigate import TrainDesk
from minilm.cli.debug.values import field_at
from minilm.comparison.training import effect_of_update, places, through_training
from minilm.errors import MinilmError
from minilm.faces.text import train as text_train
from minilm.records import Array, TrainStep
from minilm.token_text import TokenTexts
from minilm.training.timeline.branch_diff import branch_steps, weight_differences
from minilm.training.timeline.breakpoints import NAMES
from minilm.training.timeline.gates import gate_moment, gates_through
from minilm.training.timeline.token_losses import batch_rows, facts_of, surprised

__all__ = ["LOOKS"]

_TOKENS = 24  # of a row, whose gates are shown


def _step(desk: TrainDesk) -> TrainStep:
    step = desk.here.step
    if step is None:
        raise MinilmError("No step has been taken yet; next takes one")
    return step


def _tokens(desk: TrainDesk, argument: str) -> None:
    step = _step(desk)
    rows = whole_number(argument) if argument else 2
    say(text_train.batch_text(batch_rows(step, desk.codec, rows), step))


def _surprised(desk: TrainDesk, argument: str) -> None:
    say(text_train.surprised_text(surprised(_step(desk), desk.codec, count_of(argument) if argument else 10)))


def _norms(desk: TrainDesk, _: str) -> None:
    say(text_train.norms_text(_step(desk)))


def _gradients(desk: TrainDesk, _: str) -> None:
    gradients = desk.here.gradients()
    norm, rate = gradients.global_norm, desk.here.rate
    place = f"step {desk.here.index + 1}, before its update"
    say(f"{place}: loss {gradients.loss:.4f}, gradient norm {norm:.4g}, rate {rate:g}")
    say(text_train.arrays_text(facts_of(gradients.arrays)))


def _update(desk: TrainDesk, _: str) -> None:
    say(f"what the update of step {desk.here.index + 1} would add, at rate {desk.here.rate:g}")
    say(text_train.arrays_text(facts_of(desk.here.updates())))


def _diff(desk: TrainDesk, argument: str) -> None:
    names = argument.split()
    if len(names) != 2:
        raise MinilmError(f"diff takes two branches of {', '.join(desk.session.lines)}, got {argument!r}")
    one, other = (desk.session.line(name) for name in names)
    steps = list(branch_steps(one, other))
    say(text_train.branch_text((names[0], names[1]), steps, weight_differences(one, other)))


def _gates(desk: TrainDesk, argument: str) -> None:
    """Of a text, or of the first row of the batch; into a picture where a file is named."""
    words = argument.split()
    files = [word for word in words if word.lower().endswith((".png", ".svg"))]
    rest = " ".join(word for word in words if word not in files)
    ids = desk.codec.encode(rest, special=True) if rest else desk.here.batch.inputs[0][:_TOKENS].tolist()
    texts = TokenTexts(desk.codec)
    pieces = [texts(token) for token in ids]
    moment = gate_moment(desk.here.model, ids, 0, desk.here.index)
    say(text_train.gates_text(moment.rows(), pieces))
    if files:
        from minilm.faces.plots import save
        from minilm.faces.plots.gates import gates_over_text, gates_over_training

        target = Path(files[0])
        say(f"wrote {save(gates_over_text(moment, pieces), target)}")
        moments = list(gates_through(desk.here, ids, _kept(desk)))
        over = target.with_stem(f"{target.stem}-training")
        say(f"wrote {save(gates_over_training(moments), over)}")


def _prompt(desk: TrainDesk, argument: str) -> None:
    """The prompt at every snapshot that led here, and here."""
    if not argument:
        raise MinilmError("prompt takes a text, such as: prompt Once upon a time")
    models = places(desk.here, _kept(desk))
    say(text_train.moments_text(list(through_training(models, desk.codec, argument, max_tokens=12))))


def _effect(desk: TrainDesk, argument: str) -> None:
    if not argument:
        raise MinilmError("effect takes a text, such as: effect Once upon a")
    say(text_train.effect_text(effect_of_update(desk.here, desk.codec, argument)))


def _kept(desk: TrainDesk, most: int = 12) -> list[int]:
    """At most so many steps, evenly spaced from the first place to here."""
    first, here = desk.here.first, desk.here.index
    count = min(most, here - first + 1)
    return sorted({first + round(n * (here - first) / max(1, count - 1)) for n in range(count)})


_ARRAYS: dict[str, Callable[[TrainDesk], Mapping[str, Array]]] = {
    "weight": lambda desk: desk.here.model.weights(),
    "gradient": lambda desk: desk.here.gradients().arrays,
    "update": lambda desk: desk.here.updates(),
    "snapshot": lambda desk: desk.here.model.snapshot(),
}


def _print(desk: TrainDesk, argument: str) -> None:
    """Weights, gradients and updates are those of this place, before its next update."""
    if not argument:
        raise MinilmError("print takes a name, such as loss, embedding[3] or gradient head.bias")
    step, batch = desk.here.step, desk.here.batch
    if step is None and argument in NAMES:
        say(f"{argument} = not known before the first step")
        return
    first = argument.split()[0]
    # A gradient costs a whole forward and backward pass, so only the kind that is asked for is made.
    roots: dict[str, Any] = {
        **({} if step is None else {name: read(step) for name, (_, read) in NAMES.items()}),
        **{name: getattr(batch, name) for name in ("inputs", "targets", "mask")},
        **{kind: arrays(desk) if kind == first else {} for kind, arrays in _ARRAYS.items()},
        **_ARRAYS["weight"](desk),
    }
    value = field_at(roots, argument)
    if isinstance(value, Mapping):
        raise MinilmError(f"{argument} has several arrays; add the name of one: {', '.join(value)}")
    if argument in NAMES:
        say(f"{argument} = {value}")
        return
    of_batch = argument.partition("[")[0].strip() in ("inputs", "targets", "mask")
    name = f"{argument} of step {desk.here.index + 1}" if of_batch else argument
    with np.printoptions(precision=4, threshold=64, linewidth=96):
        say(f"{name}  shape {np.shape(value)}\n{np.asarray(value)}")


def _look(run: Callable[[TrainDesk, str], None]) -> Callable[[TrainDesk, str], TrainDesk]:
    def looked(desk: TrainDesk, argument: str) -> TrainDesk:
        run(desk, argument)
        return desk

    return looked


LOOKS = (
    Action(("tokens", "t"), "[ROWS]", "the batch as text and ids, each with its loss", _look(_tokens)),
    Action(("surprised", "s"), "[N]", "the targets with the highest losses", _look(_surprised)),
    Action(("norms",), "", "gradient, update, weight norms and their ratio", _look(_norms)),
    Action(("gradients", "g"), "", "pause between gradient and update: the gradients", _look(_gradients)),
    Action(("update", "u"), "", "the same place: what the update would add", _look(_update)),
    Action(("gates",), "[TEXT] [FILE.png]", "i f g o c h per token; pictures with a file", _look(_gates)),
    Action(("prompt",), "TEXT", "what the model wrote after it at a dozen places", _look(_prompt)),
    Action(("effect",), "TEXT", "what the next update does to the prediction after it", _look(_effect)),
    Action(("diff",), "A B", "two branches, step by step and weight by weight", _look(_diff)),
    Action(("print", "p"), "ANYTHING", "loss, rate, embedding[3], gradient head.bias ...", _look(_print)),
)
